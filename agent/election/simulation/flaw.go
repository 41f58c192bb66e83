// SPDX-License-Identifier: Apache-2.0

package simulation

// Flaw is something that an agent's loop or its wire could do wrong, or the API server.
type Flaw uint8

// The flaws.
const (
	NoFlaw          Flaw = iota
	GateWithoutTick      // the gate does not ask whether the loop lives
	GateWithoutEcho      // the gate does not look at heartbeats
	GateWithoutAge       // old frames are answered
	GateMuted            // an interrupted voice goes on
	GateForgets          // the port does not remember higher voices
	NoInterruption       // nobody tells the machines that they stood still
	NoCompare            // the store writes without comparing
	SwapsBelieved        // every write counts as a success
	StaleReads           // heartbeats are read from an old cache
	NoTicks              // nobody wakes the elections
	NoDetector           // nobody wakes the detector
	NoFollows            // heartbeats are never read
	NoQuestions          // elections' questions do not go out
	NoClaims             // a new voice does not announce itself
	DeafToClaims         // answers and claims do not reach the elections
	StandingIgnored      // voices of the same epoch do not reach the elections
	DeafToVerdicts       // the detector's verdicts do not reach the elections
	DeafToFarewells      // farewells do not reach the elections
	NoWitnesses          // the detector knows no witnesses
	NoVouching           // vouches are not sent
	NoBroadcasts         // suspicions do not ask by broadcast
	NoGhostClaims        // a replaced voice that answers is not told
	NoContact            // speakers do not learn that peers hear them
	NeverAudible         // elections do not learn that the holder is heard
	AlwaysAudible        // elections believe that the holder is heard, always
	NoRecall             // nothing is remembered on disk
	NoInheritance        // a successor is not told what its predecessor spoke for
	ServesAll            // lost carriers do not change what a node can serve
	ReadyAlways          // kube-proxy is not asked
	FarewellUnsaid       // nobody says farewell
	LeavingUnsaid        // the heartbeat does not say that its node leaves
	NoDisplacement       // the manager orders nothing
)
