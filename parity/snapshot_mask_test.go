// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/parity"
)

func TestAMaskedSnapshotIsReadAgainAndTheFirstStaysAsItWas(t *testing.T) {
	items := []parity.Item{{Key: "/etc/a", Value: "plain"}, {Key: "/etc/horse", Value: "0644 root:root", Body: "word=horse\n"}, {Key: "/etc/horse2", Value: "horse"}}
	s := &parity.Snapshot{
		Format: parity.SnapshotFormat, Subject: parity.Subject{Tier: "ci", Name: "web-1"}, Collector: strings.Repeat("ab", 32), Taken: time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC), KeyID: "k",
		Sections: []parity.Section{
			{Name: "etc", Lane: parity.Stable, Digest: parity.DigestSection(items), Items: items},
			{Name: "units", Lane: parity.Stable, Unknown: "it said: horse", Digest: parity.DigestSection(nil)},
		},
	}
	before, err := parity.MarshalSnapshot(s)
	if err != nil {
		t.Fatal(err)
	}
	mask := func(text string) string {
		return strings.ReplaceAll(strings.ReplaceAll(text, "horse2", "[secret]"), "horse", "[secret]")
	}
	masked, err := parity.MarshalSnapshot(s.Masked(mask))
	if err != nil || bytes.Contains(masked, []byte("horse")) {
		t.Errorf("got %s, %v", masked, err)
	}
	if err := parity.ReadSnapshots(bytes.NewReader(append(masked, 0x0a)), "facts.jsonl", func(*parity.Snapshot) error { return nil }); err != nil {
		t.Errorf("cannot be read again: %v\n%s", err, masked)
	}
	if after, err := parity.MarshalSnapshot(s); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the snapshot itself became %s, %v", after, err)
	}
	if got := s.Masked(func(text string) string { return text }); got != s {
		t.Error("what a mask does not change is another snapshot")
	}
}
