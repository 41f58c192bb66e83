// SPDX-License-Identifier: Apache-2.0

// Command failover measures, on a real cluster, what a client on the LAN notices of faults: how long an address does
// not answer, how long nobody says who has it, and for how long two do; beside it, what keepalived (VRRP, RFC 9568)
// reaches on the same bridge in the same run.
//
// It starts the lab, installs Arpeggio from bin/arpeggio.tar and dist/install.yaml, goes through its scenarios, and
// prints one Markdown table; bin/bench/failover.jsonl gets one JSON object for each figure. Targets are no assertions:
// the exit status is 0 when everything was measured. Progress goes to standard error.
//
//	BENCH_ROUNDS        rounds of each fault, 5 by default
//	BENCH_ONLY          scenarios to run, separated by commas, instead of all
//	BENCH_PEERS=0       without keepalived
//	BENCH_RESUME=1      what an earlier run has measured is taken from bin/bench/failover, but for BENCH_ONLY's
//	BENCH_CALM_MINUTES  how long to wait for takeovers without a fault, 30 by default
//	BENCH_MANY          Services at which idle-many counts writes, 5,000 by default
//	KEEP=1              leaves the cluster running
//
// How it is measured. A client sends a UDP request every 5 ms, each from a new port; a third host, whose neighbor cache
// is asked nothing, sends who-has (ARP, or Neighbor Solicitation) every 10 ms; a capture at the switch hears every
// answer. The outage is the longest silence a fault is in. Pods that answer do not stand on the node that the fault
// hits: what is measured is the address, not how long a dead endpoint stays in its slice. The noise floor is the
// longest silence of the same probes in a time of the same length, at most 20 s, just before the fault.
package main
