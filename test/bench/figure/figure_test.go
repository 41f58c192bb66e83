// SPDX-License-Identifier: Apache-2.0

package figure

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWriteLines(t *testing.T) {
	var b strings.Builder
	err := WriteLines(&b, []Figure{
		Milliseconds("crash", 250*time.Millisecond).AtMost(300).Beside("keepalived", 330),
		Lower("lost", 3, "requests").AtMost(0),
		Lower("noise", 1.5, "ms"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"crash","value":250,"unit":"ms","target":300,"better":"lower","holds":true,"peer":"keepalived","peerValue":330}
{"name":"lost","value":3,"unit":"requests","target":0,"better":"lower","holds":false,"peer":"","peerValue":null}
{"name":"noise","value":1.5,"unit":"ms","target":null,"better":"lower","holds":null,"peer":"","peerValue":null}
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestMedianAndWorst(t *testing.T) {
	for _, test := range []struct {
		values        []int
		median, worst int
	}{
		{nil, 0, 0}, {[]int{3}, 3, 3}, {[]int{9, 1, 5}, 5, 9}, {[]int{4, 3, 2, 1}, 3, 4},
	} {
		if m, w := Median(test.values), Worst(test.values); m != test.median || w != test.worst {
			t.Errorf("%v: median %d, worst %d; want %d and %d", test.values, m, w, test.median, test.worst)
		}
	}
}

func TestTable(t *testing.T) {
	want := `| what | ms  |
|------|-----|
| a\|b | 1   |
| é    |     |
`
	if diff := cmp.Diff(want, Table([]string{"what", "ms"}, [][]string{{"a|b", "1"}, {"é"}})); diff != "" {
		t.Error(diff)
	}
}
