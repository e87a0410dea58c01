// SPDX-License-Identifier: Apache-2.0

// Package conformance is the one suite that every provider passes: the contract of package providers, case by case, against a real place.
//
// It is not for what one place does beyond the contract. The one rule: it knows no provider by name and has no way to leave out a case; an ability
// is tested where the provider has it.
package conformance

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// Harness is one provider and what the suite needs to exercise it.
type Harness struct {
	Plugin       providers.Plugin  // Open is called many times and from several goroutines; each Provider is closed
	Config       json.RawMessage   // opens a place in which the suite may make and remove environments of its own
	Image        images.Image      // with the artefacts of Plugin.Formats; holds what images/doc.go says every image holds. Not needed where Traits.ReadOnly
	BootDeadline time.Duration     // from PutMachine's return to the first SSH answer
	Leaks        func() []string   // every object of ours in the place by name, stored images left out; processes and files count
	BadConfig    []json.RawMessage // each is refused as Invalid
}

// Run runs the suite. It makes environments with names of its own and removes them; at most two machines run at once. It must be called at most
// once in a test, and by a test that reaches the call when it is run alone in a process of its own: the suite does that to kill it.
func Run(t *testing.T, h Harness) {
	if order := os.Getenv(childVariable); order != "" {
		playChild(t, h, order)
		return
	}
	if h.Plugin.Traits.ReadOnly {
		runReadOnly(t, h)
		return
	}
	before := h.Leaks()
	t.Cleanup(func() { checkLeaks(t, h, before) }) // runs after the place is closed
	s := open(t, h)
	for _, c := range []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"unknown_config_key_is_refused", unknownConfigKey},
		{"bad_config_is_refused", badConfig},
		{"put_image_twice_is_one_image", putImageTwice},
		{"nothing_there_is_an_empty_list", nothingThere},
		{"check_refuses_what_put_would_refuse", checkRefuses},
		{"two_puts_at_once_make_one", twoPuts},
		{"cancelled_put_leaves_nothing_when_it_returns", cancelledPut},
		{"killed_client_leaves_nothing_unsettled", killedClient},
		{"two_machines_that_run", twoMachines},
		{"delete_env_leaves_nothing", deleteEnv},
		{"doctor_finds_the_place_sound", doctor},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, s) })
	}
}

// Require decides what becomes of a test whose place cannot be had: err says why not; nil means that it can. The test is skipped, unless
// $EVENKEEL_TEST_REQUIRE, a list of names with commas, holds name: then it fails.
func Require(t *testing.T, name string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("EVENKEEL_TEST_REQUIRE"), ","), name) {
		t.Fatalf("%s is required and cannot be had: %v", name, err)
	}
	t.Skipf("%s cannot be had: %v", name, err)
}

// suite is an opened place with a stored image.
type suite struct {
	h        Harness
	p        providers.Provider
	ref      providers.ImageRef
	identity *ssh.Identity
	prefix   string // of every environment of this run
	top      string // name of the test that called Run
}

func open(t *testing.T, h Harness) *suite {
	t.Helper()
	s := &suite{h: h, prefix: "conf" + random(3), top: t.Name()}
	s.p = s.open(t)
	identity, err := ssh.LoadIdentity("", filepath.Join(t.TempDir(), "identity"))
	if err != nil {
		t.Fatal(err)
	}
	s.identity = identity
	if s.ref, err = s.p.PutImage(t.Context(), h.Image, nil); err != nil {
		t.Fatalf("PutImage: %v", err)
	}
	return s
}

// open opens the place once more, as another process would.
func (s *suite) open(t *testing.T) providers.Provider {
	t.Helper()
	p, err := s.h.Plugin.Open(t.Context(), s.h.Config, hclog.NewNullLogger())
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return p
}

// checkLeaks wants the place as it was. What a killed process's helpers still undo gets time; what has ended leaves at once.
func checkLeaks(t *testing.T, h Harness, before []string) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		left = slices.DeleteFunc(h.Leaks(), func(name string) bool { return slices.Contains(before, name) })
		if len(left) == 0 || time.Now().After(deadline) {
			break
		}
	}
	if len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

// undoContext outlives a test's own, which has ended when its cleanups run.
func undoContext(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
}

func random(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
