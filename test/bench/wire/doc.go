// SPDX-License-Identifier: Apache-2.0

// Command wire measures how a port answers ARP and neighbor solicitations: how soon, how many, and at what cost; beside
// it, the kernel's own answers for an address that it has on the same veth, in the same run.
//
// It makes network namespaces of its own (root), goes through its scenarios and prints one Markdown table;
// bin/bench/wire.jsonl gets one JSON object for each figure. Targets are no assertions: the exit status is 0 when
// everything was measured. Progress goes to standard error.
//
//	BENCH_SECONDS  how long each row is measured, in rounds of a second, 4 by default
//	BENCH_RATES    requests a second of the rows, 100,1000,10000 by default
//	BENCH_FLOOD    foreign requests a second of the flood, 100,000 by default
//	BENCH_MOST     the highest rate that is tried, 200,000 requests a second by default
//	BENCH_ONLY     scenarios to run, separated by commas, instead of all: latency, rate, flood, announce
//
// How it is measured. Three nodes, each a namespace and a process of its own that runs one port, speak for 1, 100 and
// 5,000 VIPs of each family; a load generator in another process is plugged into each by a veth. The rounds take turns:
// each port, then the kernel on the same veth, in another order each round. Requests are sent one by one at their time,
// by broadcast or to the solicited-node group, by 100 hosts, each from another card, which tells the replies apart.
// A latency is from just before the frame is handed to the generator's kernel until that kernel has the reply (its
// receive timestamp), so what the generator takes to read it does not count. Generator, kernel and ports share the same
// cores, as they do not on a LAN: the kernel answers within the generator's own system call, a port has to be woken, and
// whatever else the machine does shows in its p99. The noise is how far the p99 of one port in one half of its rounds
// lies from that in the other half. Of a flood the kernel itself drops most, and what it takes to do so limits the
// generator: how much was sent is a figure.
package main
