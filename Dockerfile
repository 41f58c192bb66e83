# SPDX-License-Identifier: Apache-2.0
#
# The image holds one static binary and nothing else. `make image` builds the binary first
# and gives it the file capability cap_net_raw=p, without which a process that is not root
# gets no raw socket whatever its pod is granted; the capability travels in the layer as an
# extended attribute.
FROM scratch
ARG TARGETARCH=amd64
COPY bin/linux_${TARGETARCH}/arpeggio /arpeggio
USER 65532:65532
ENTRYPOINT ["/arpeggio"]
