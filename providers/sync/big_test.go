// SPDX-License-Identifier: Apache-2.0

package sync_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers/sync"
)

// BenchmarkBigTree measures what people wait for: the first sync of 50,000 files, one that finds nothing to do, and one file's change.
// Run it with -benchtime=1x.
func BenchmarkBigTree(b *testing.B) {
	for range b.N {
		r := newRig(b)
		r.git("init", "-q")
		for i := range 50_000 {
			write(b, r.host, fmt.Sprintf("d%d/e%d/f%d", i%50, i%1000, i), strings.Repeat("content ", i%200)+fmt.Sprint(i))
		}
		for _, step := range []string{"first", "none", "one"} {
			if step == "one" {
				write(b, r.host, "d1/e1/f1", "changed")
			}
			began := time.Now()
			res, err := sync.Sync(b.Context(), r.client, r.pair, sync.Options{})
			if err != nil {
				b.Fatal(err)
			}
			if res.Files != 50_000 {
				b.Fatalf("%d files alike, want 50,000", res.Files)
			}
			b.ReportMetric(time.Since(began).Seconds(), "s-"+step)
		}
	}
}
