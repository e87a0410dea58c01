// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/providers/plugin"
)

// settings are what options say.
type settings struct {
	tier      string
	within    time.Duration
	optional  bool
	keep      bool
	locked    bool
	artifacts string
}

// Option says how an environment is made.
type Option func(*settings)

// Tier makes the environment of that tier; else $EVENKEEL_TIER, else the tier called ci, else the definition's default.
func Tier(name string) Option { return func(s *settings) { s.tier = name } }

// Within bounds the bring-up; 15 minutes else, and never longer than the test may take.
func Within(d time.Duration) Option { return func(s *settings) { s.within = d } }

// Optional skips the test where the tier's provider cannot be had on this computer: no plugin, no daemon, no rights. A provider that is named in
// $EVENKEEL_TEST_REQUIRE, a list with commas, has to be there: the test fails.
func Optional() Option { return func(s *settings) { s.optional = true } }

// KeepOnFailure leaves a failed test's environment until it expires, a shared one until the next `go test` that shares one of its definition at the latest, and says how to look at it.
// EVENKEEL_TEST_KEEP=1 does it for all.
func KeepOnFailure() Option { return func(s *settings) { s.keep = true } }

// Locked fails where a recipe has no lock, in place of writing it. CI should say it.
func Locked() Option { return func(s *settings) { s.locked = true } }

// Artifacts writes each machine's journal and console below dir when the test ends, and the bring-up's results, without the environment's secrets. Of a shared
// environment each failed test that has it writes them, and the last to leave, relative paths being from its package.
func Artifacts(dir string) Option { return func(s *settings) { s.artifacts = dir } }

func settingsOf(options []Option) settings {
	s := settings{within: 15 * time.Minute, keep: os.Getenv("EVENKEEL_TEST_KEEP") == "1"}
	for _, o := range options {
		o(&s)
	}
	return s
}

// findPlugins lets plugins be found beside the `evenkeel` that is installed: a test binary lies elsewhere.
var findPlugins = sync.OnceFunc(func() {
	path, err := exec.LookPath("evenkeel")
	if err != nil {
		return
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if path, err = filepath.Abs(path); err != nil {
		return
	}
	list := filepath.Dir(path)
	if said := os.Getenv(plugin.EnvPath); said != "" {
		list = said + string(filepath.ListSeparator) + list
	}
	_ = os.Setenv(plugin.EnvPath, list) // it fails for names with = in them
})
