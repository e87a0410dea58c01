// SPDX-License-Identifier: Apache-2.0

package facts_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/collectors"
	"github.com/evenkeel/evenkeel/parity/facts"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
)

// Few long sections are taken in at a time; who stops in the middle of one takes nobody's place for it.
func TestMachinesThatStallInLongSectionsHoldUpNobody(t *testing.T) {
	r := newRig(t)
	const long = 100_000
	half := func(ctx context.Context, s *sshtest.Session) int {
		_, _ = fmt.Fprintf(s.Stdout, "%ssection one plain %d -\n%s", header(), long, strings.Repeat("x", long/2))
		<-ctx.Done()
		return 0
	}
	var machines []facts.Machine
	for i := range 4 * runtime.GOMAXPROCS(0) {
		machines = append(machines, r.machine(t, fmt.Sprint("bad", i), half))
	}
	good := r.machine(t, "good", func(_ context.Context, s *sshtest.Session) int {
		time.Sleep(100 * time.Millisecond) // the others come first
		_, _ = fmt.Fprintf(s.Stdout, "%s%send\n", header(), plain("one", "a="+strings.Repeat("x", long)))
		return 0
	})
	one := group("one", "")
	one.Parse = func(raw []byte) ([]parity.Item, error) { return pairs(raw[:3]) }
	first, enough := "", errors.New("enough")
	o := facts.Options{Groups: []collectors.Group{one}, Deadline: 2 * time.Minute, Key: []byte("0123456789abcdef")}
	err := facts.Collect(t.Context(), append(machines, good), o, func(s *parity.Snapshot) error {
		first = s.Subject.Name + " " + text(s)
		return enough
	})
	if !errors.Is(err, enough) || first != "good one{a=x}" {
		t.Errorf("got %q, %v, want the machine that does not stall first, as it is", first, err)
	}
}
