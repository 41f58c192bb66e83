// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"context"
	"maps"
	"net/netip"
	"sync"
	"time"
)

const (
	// atOnce is how many questions may be under way.
	atOnce = 8
	// gather is how long news are gathered before they are put.
	gather = 20 * time.Millisecond
)

// Config is what a Follower needs to know.
type Config struct {
	// HealthURL is kube-proxy's; empty: it is not asked.
	HealthURL string
	// Answered is whether it is known from before that kube-proxy answers there.
	Answered bool
	// Addresses of this node; the loopback addresses are asked, too.
	Addresses []netip.Addr
	// Put gets what is known, first when kube-proxy was asked on its health URL (or it
	// shall not be), and then on change. It must not block.
	Put func(Ready)
}

// Ready is what this node's kube-proxy said.
type Ready struct {
	// Ports are the health check node ports that were asked for: whether the Service has
	// endpoints here to which kube-proxy forwards. One that is missing was not answered for
	// yet.
	Ports map[int32]bool
	// Proxy is whether nothing speaks against kube-proxy as a whole.
	Proxy bool
	// Answered is whether its health URL ever answered, worth keeping for Config.Answered.
	Answered bool
}

// questioner asks kube-proxy.
type questioner interface {
	// port is whether the answer on a health check node port was yes.
	port(ctx context.Context, port int32) bool
	// url gives the status of the answer on a health URL; 0: there was none.
	url(ctx context.Context, url string) int
}

// Follower is the task that follows kube-proxy. Want and Hurry may be called from any
// goroutine and do not wait.
type Follower struct {
	config Config
	asker  questioner
	called chan struct{}

	mu      sync.Mutex
	wanted  []int32 // guarded by mu
	news    bool    // guarded by mu: wanted is not taken in yet
	hurried []int32 // guarded by mu
}

// New gives a follower of nothing yet.
func New(c Config) *Follower {
	return &Follower{config: c, asker: newAsker(c.Addresses), called: make(chan struct{}, 1)}
}

// Want makes these the ports that are followed. New ones are asked at once.
func (f *Follower) Want(ports ...int32) {
	f.mu.Lock()
	f.wanted, f.news = ports, true
	f.mu.Unlock()
	f.call()
}

// Hurry has ports asked at once: their answers are likely to change, or somebody waits for
// them. Ports that are not wanted are left out.
func (f *Follower) Hurry(ports ...int32) {
	f.mu.Lock()
	f.hurried = append(f.hurried, ports...)
	f.mu.Unlock()
	f.call()
}

func (f *Follower) call() {
	select {
	case f.called <- struct{}{}:
	default:
	}
}

// String names the task.
func (f *Follower) String() string { return "kube-proxy" }

// answer is what came back; number 0 is the health URL.
type answer struct {
	number int32
	ready  bool
	status int
}

// Run asks until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	r := run{
		Follower: f, begun: time.Now(), plan: plan{ports: map[int32]*port{}},
		proxy: proxy{answered: f.config.Answered, asked: f.config.HealthURL == ""}, answers: make(chan answer, atOnce+1),
	}
	defer r.questions.Wait()
	if r.proxy.asked {
		r.changes(r.now())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		wake := time.NewTimer(r.ask(ctx))
		select {
		case <-ctx.Done():
			wake.Stop()
			return nil
		case <-f.called:
			r.take()
		case a := <-r.answers:
			r.heard(a)
		case <-wake.C:
		}
		wake.Stop()
		r.put()
	}
}

// run is the state of Run, and only its goroutine's.
type run struct {
	*Follower
	begun     time.Time
	plan      plan
	proxy     proxy
	proxyDue  time.Duration
	asking    bool // the health URL
	under     int  // questions about ports under way
	answers   chan answer
	questions sync.WaitGroup

	changed time.Duration // since when there is news to put; 0: there is none
	last    Ready
	told    bool
}

func (r *run) now() time.Duration { return time.Since(r.begun) + 1 }

// ask asks what is due, and gives the time until more is.
func (r *run) ask(ctx context.Context) time.Duration {
	wait := slow
	now := r.now()
	if r.config.HealthURL != "" && !r.asking {
		if now >= r.proxyDue {
			r.asking = true
			r.questions.Go(func() { r.answers <- answer{status: r.asker.url(ctx, r.config.HealthURL)} })
		} else {
			wait = r.proxyDue - now
		}
	}
	for r.under < atOnce {
		number, ok, until := r.plan.pick(now)
		if !ok {
			wait = min(wait, until)
			break
		}
		r.under++
		r.questions.Go(func() { r.answers <- answer{number: number, ready: r.asker.port(ctx, number)} })
	}
	if r.changed != 0 && r.proxy.asked {
		wait = min(wait, max(0, r.changed+gather-now))
	}
	return wait
}

// take takes in what is wanted.
func (r *run) take() {
	r.mu.Lock()
	wanted, news, hurried := r.wanted, r.news, r.hurried
	r.news, r.hurried = false, nil
	r.mu.Unlock()
	now := r.now()
	if news && r.plan.want(wanted, now) {
		r.changes(now)
	}
	for _, n := range hurried {
		if p := r.plan.ports[n]; p != nil {
			p.hurry(now)
		}
	}
}

func (r *run) heard(a answer) {
	now := r.now()
	if a.number == 0 {
		r.asking = false
		r.proxy.heard(a.status, now)
		r.proxyDue = now + r.proxy.pause(now)
		if !r.told || r.proxy.ready(now) != r.last.Proxy || r.proxy.answered != r.last.Answered {
			r.changes(now)
		}
		return
	}
	r.under--
	if p := r.plan.ports[a.number]; p != nil && p.heard(a.ready, now) {
		r.changes(now)
	}
}

func (r *run) changes(now time.Duration) {
	if r.changed == 0 {
		r.changed = now
	}
}

// put puts news that were gathered.
func (r *run) put() {
	now := r.now()
	if r.changed == 0 || now < r.changed+gather || !r.proxy.asked {
		return
	}
	r.changed = 0
	ready := Ready{Ports: map[int32]bool{}, Proxy: r.proxy.ready(now), Answered: r.proxy.answered}
	for n, p := range r.plan.ports {
		if p.known {
			ready.Ports[n] = p.ready
		}
	}
	if r.told && ready.Proxy == r.last.Proxy && ready.Answered == r.last.Answered && maps.Equal(ready.Ports, r.last.Ports) {
		return
	}
	r.last, r.told = ready, true
	r.config.Put(Ready{Ports: maps.Clone(ready.Ports), Proxy: ready.Proxy, Answered: ready.Answered})
}
