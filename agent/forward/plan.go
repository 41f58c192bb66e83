// SPDX-License-Identifier: Apache-2.0

package forward

import "time"

const (
	// quick is the pause between questions about what is not ready and was asked for, or
	// changed, less than eager ago; slow is it otherwise.
	quick = time.Second
	slow  = 10 * time.Second
	eager = 30 * time.Second
	// pace is the least pause between two questions that nobody waits for.
	pace = 20 * time.Millisecond
	// young is how long a kube-proxy that was seen not to answer must have answered to be
	// ready: it answers before it loads its rules.
	young = 2 * time.Second
)

// port is what is known of one health check node port. Times are since the start of Run.
type port struct {
	ready, known, asking bool
	hurried              bool          // somebody waits for the answer
	since                time.Duration // it was asked for, or changed
	due                  time.Duration // of the next question
}

// heard takes an answer in, and tells whether it is news.
func (p *port) heard(ready bool, now time.Duration) bool {
	news := !p.known || p.ready != ready
	if news {
		p.since = now
	}
	p.ready, p.known, p.asking = ready, true, false
	p.due = now + slow
	if !ready && now-p.since < eager {
		p.due = now + quick
	}
	if p.hurried { // while it was asked
		p.due = now
	}
	return news
}

// hurry has it asked at once, and often.
func (p *port) hurry(now time.Duration) { p.hurried, p.since, p.due = true, now, now }

// plan says which ports are asked when. It is not for several goroutines.
type plan struct {
	ports map[int32]*port
	next  time.Duration // not before then one that nobody waits for
}

// want makes these the ports that are followed, and tells whether one was dropped.
func (p *plan) want(ports []int32, now time.Duration) (dropped bool) {
	wanted := make(map[int32]bool, len(ports))
	for _, n := range ports {
		wanted[n] = true
		if p.ports[n] == nil {
			p.ports[n] = &port{}
			p.ports[n].hurry(now)
		}
	}
	for n, q := range p.ports {
		if !wanted[n] {
			dropped = dropped || q.known
			delete(p.ports, n)
		}
	}
	return dropped
}

// pick gives the port to ask now, if there is one; else the time until there is, at most slow.
func (p *plan) pick(now time.Duration) (number int32, ok bool, wait time.Duration) {
	wait = slow
	var best *port
	for n, q := range p.ports {
		if q.asking {
			continue
		}
		due := q.due
		if !q.hurried {
			due = max(due, p.next)
		}
		if due > now {
			wait = min(wait, due-now)
			continue
		}
		if best == nil || q.hurried && !best.hurried || q.hurried == best.hurried && q.due < best.due {
			best, number = q, n
		}
	}
	if best == nil {
		return 0, false, wait
	}
	if !best.hurried {
		p.next = now + pace
	}
	best.asking, best.hurried = true, false
	return number, true, 0
}

// proxy is what is known of kube-proxy's health URL.
type proxy struct {
	answered bool          // ever
	absent   bool          // it did not answer, as far as was seen, before it did
	well     bool          // the last answer was that it is healthy
	since    time.Duration // it has answered without a gap
	asked    bool
}

// heard takes the status of an answer in; 0: there was none.
func (p *proxy) heard(status int, now time.Duration) {
	switch {
	case status == 0:
		p.absent, p.since = true, 0
	case p.since == 0:
		p.since = max(now, 1)
	}
	p.asked, p.answered, p.well = true, p.answered || status != 0, status == 200
}

// ready is whether nothing speaks against it.
func (p *proxy) ready(now time.Duration) bool {
	return !p.answered || p.well && (!p.absent || now-p.since >= young)
}

// pause is the pause until the next question.
func (p *proxy) pause(now time.Duration) time.Duration {
	if !p.answered && now > eager {
		return slow
	}
	return quick
}
