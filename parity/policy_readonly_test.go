// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/parity"
)

// Verbs that change machines are refused on a tier of machines that exist already, so no report sends anybody there.
func TestNoAdviceSaysToChangeMachinesThatAreOnlyRead(t *testing.T) {
	old := made("web-1", 90*24*time.Hour, plainBox().with("os", "reboot_pending", "a kernel"))
	for _, readOnly := range []bool{true, false} {
		p := parity.Policy{At: now, Baseline: "staging", Tiers: []parity.TierPolicy{{Name: "staging"}, {
			Name: "production", ReadOnly: readOnly, Planned: map[string]string{"web-2": "web"}, RebuildAfter: map[string]time.Duration{"": 24 * time.Hour},
		}}}
		r := compare(t, p, snap("staging", "web-1", plainBox()), old)
		met := map[string]bool{}
		for _, row := range r.Rows {
			if !row.Counts {
				continue
			}
			met[row.Section+"/"+row.Key] = true
			if says := strings.Contains(row.Fix, "rebuild") || strings.Contains(row.Fix, "evenkeel up") || strings.Contains(row.Fix, "evenkeel down"); says == readOnly {
				t.Errorf("read only %t: %s/%s: got advice %q", readOnly, row.Section, row.Key, row.Fix)
			}
		}
		for _, want := range []string{"os/reboot", "age/instance", "machines/missing", "machines/extra"} {
			if !met[want] {
				t.Errorf("%s is not among the findings %v", want, said(r))
			}
		}
	}
}

// Who compares snapshots without a definition has nothing that our commands could change, and no file in which to waive.
func TestWithoutADefinitionNoAdviceNeedsOne(t *testing.T) {
	b := plainBox().with("etc", "/etc/machine-id", "0444 root:root sha256:77")
	other := b.with("sysctl", "vm.swappiness", "1").with("os", "reboot_pending", "a kernel")
	r := compare(t, parity.Policy{At: now, Undefined: true}, snap("dc1", "web-1", b), snap("dc2", "web-1", other), snap("dc3", "web-1", b.with("sysctl", "vm.swappiness", "2").with("packages", "vim:amd64", "9")))
	if r.Findings() < 4 {
		t.Fatalf("got %v", said(r))
	}
	for _, row := range r.Rows {
		if strings.Contains(row.Fix, "evenkeel") || strings.Contains(row.Fix, "under tiers") {
			t.Errorf("%s/%s: got advice %q", row.Section, row.Key, row.Fix)
		}
	}
}
