// SPDX-License-Identifier: Apache-2.0

package sight

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const s = time.Second

// seen gives nodes that are all well, but for those that are named; a name after a minus
// is not there at all.
func seen(n int, bad ...string) map[string]bool {
	well := map[string]bool{}
	for i := range n {
		well[fmt.Sprint("n", i+1)] = true
	}
	for _, b := range bad {
		if name, gone := strings.CutPrefix(b, "-"); gone {
			delete(well, name)
		} else {
			well[b] = false
		}
	}
	return well
}

func TestNodesAtOnce(t *testing.T) {
	for _, tc := range []struct {
		name   string
		before map[string]bool
		after  map[string]bool
		blind  bool
	}{
		{"none of none", nil, nil, false},
		{"the only one", seen(1), seen(1, "n1"), false},
		{"one of two", seen(2), seen(2, "n1"), false},
		{"two of two", seen(2), seen(2, "n1", "n2"), true},
		{"one of three", seen(3), seen(3, "n1"), false},
		{"two of three", seen(3), seen(3, "n1", "-n3"), true},
		{"two of four", seen(4), seen(4, "n1", "n2"), false},
		{"three of four", seen(4), seen(4, "-n1", "-n2", "-n3"), true},
		{"those that never were well do not count", seen(5, "n4", "n5"), seen(5, "n1", "n4", "n5"), false},
		{"nor do they hide the others", seen(9, "n4", "n5", "n6", "n7", "n8", "n9"), seen(9, "n1", "n2", "n4", "n5", "n6", "n7", "n8", "n9"), true},
		{"not well from the start", seen(3, "n1", "n2", "n3"), seen(3, "n1", "n2", "n3"), false},
		{"more", seen(3), seen(9), false},
	} {
		g := New()
		g.Nodes(0, tc.before)
		if v := g.Judge(0); v.Blind {
			t.Errorf("%s: blind at the start: %s", tc.name, v.Why)
		}
		g.Nodes(100*s, tc.after)
		v := g.Judge(100 * s)
		if v.Blind != tc.blind || v.Changed != tc.blind {
			t.Errorf("%s: %+v", tc.name, v)
		}
		if tc.blind && (v.For != time.Minute || !strings.Contains(v.Why, "nodes")) {
			t.Errorf("%s: %+v", tc.name, v)
		}
	}
}

func TestOneAfterTheOther(t *testing.T) {
	g := New()
	g.Nodes(0, seen(4))
	for i := range 4 {
		now := time.Duration(i) * atOnce
		g.Nodes(now, seen(4, []string{"n1", "n2", "n3", "n4"}[:i+1]...))
		if v := g.Judge(now); v.Blind {
			t.Errorf("%d of 4, %v apart: %s", i+1, atOnce, v.Why)
		}
	}
}

// The minute ends; what is missing then is gone and no reason for doubt again.
func TestTimeIsOver(t *testing.T) {
	g := New()
	g.Nodes(0, seen(5))
	g.Nodes(s, seen(5, "n1", "n2", "n3"))
	if v := g.Judge(s); !v.Blind {
		t.Fatal("not blind")
	}
	g.Nodes(55*s, seen(5, "n1", "n2", "n3", "n4")) // one more meanwhile
	if v := g.Judge(60 * s); !v.Blind || v.Changed || v.For != s {
		t.Errorf("%+v", v)
	}
	if v := g.Judge(61 * s); v.Blind || !v.Changed || v.Restored {
		t.Errorf("%+v", v)
	}
	for now := 62 * s; now < 200*s; now += s {
		g.Nodes(now, seen(5, "n1", "-n2", "-n3", "n4"))
		if v := g.Judge(now); v.Blind || v.Changed {
			t.Errorf("at %v: %+v", now, v)
		}
	}
	g.Nodes(200*s, seen(5))
	g.Nodes(201*s, seen(5, "n1", "n2", "n5"))
	if v := g.Judge(201 * s); !v.Blind {
		t.Error("not blind again")
	}
}

func TestWholeAgain(t *testing.T) {
	g := New()
	g.Nodes(0, seen(3))
	g.Nodes(s, seen(3, "n1", "-n2"))
	g.Judge(s)
	g.Nodes(2*s, seen(3, "n1"))
	if v := g.Judge(2 * s); !v.Blind {
		t.Error("one that is back is enough")
	}
	g.Nodes(3*s, seen(3))
	if v := g.Judge(3 * s); v.Blind || !v.Changed || !v.Restored {
		t.Errorf("%+v", v)
	}
	if v := g.Judge(4 * s); v.Changed {
		t.Errorf("%+v", v)
	}
}

// No more than half are missing any longer: after a while the rest is believed to be gone.
func TestHalfAgain(t *testing.T) {
	g := New()
	g.Nodes(0, seen(3))
	for _, step := range []struct {
		at    time.Duration
		bad   []string
		blind bool
	}{
		{1 * s, []string{"n1", "n2"}, true},
		{3 * s, []string{"n1"}, true},
		{7 * s, []string{"n1", "n3"}, true}, // another one: it is not steady
		{8 * s, []string{"n1"}, true},
		{11 * s, []string{"n1"}, true},
		{12 * s, []string{"n1"}, false},
		{30 * s, []string{"n1"}, false},
	} {
		g.Nodes(step.at, seen(3, step.bad...))
		if v := g.Judge(step.at); v.Blind != step.blind || v.Changed && !v.Blind && !v.Restored {
			t.Errorf("at %v: %+v", step.at, v)
		}
	}
}

func TestAnnouncements(t *testing.T) {
	g := New()
	g.Nodes(0, seen(3))
	for i := range 5 {
		g.Announcement(0, fmt.Sprint("a", i), false)
	}
	for i, want := range []bool{false, false, true} {
		if since := g.Announcement(time.Duration(i)*s, fmt.Sprint("a", i), true); since != 0 {
			t.Errorf("the change is %v old", since)
		}
		if v := g.Judge(time.Duration(i) * s); v.Blind != want {
			t.Errorf("%d of 5: %+v", i+1, v)
		}
	}
	if since := g.Announcement(3*s, "a0", true); since != 3*s {
		t.Errorf("the first change is %v old", since)
	}
	for i, want := range []bool{true, true, false} {
		g.Announcement(5*s, fmt.Sprint("a", i), false)
		if v := g.Judge(5 * s); v.Blind != want {
			t.Errorf("%d of 3 are back: %+v", i+1, v)
		}
	}

	// Services that go take nothing with them.
	for i := range 5 {
		g.Announcement(100*s, fmt.Sprint("a", i), true)
		g.Forget(fmt.Sprint("a", i))
		if v := g.Judge(100 * s); v.Blind {
			t.Fatalf("%d are deleted: %+v", i+1, v)
		}
	}
	// One that was accepted is not held up again.
	g.Announcement(0, "x", false)
	g.Announcement(0, "y", false)
	g.Announcement(200*s, "x", true)
	g.Announcement(200*s, "y", true)
	g.Judge(200 * s)
	g.Judge(260 * s)
	if since := g.Announcement(260*s, "x", true); since < atOnce {
		t.Errorf("accepted, and %v old", since)
	}
}
