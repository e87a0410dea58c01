// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"errors"

	"github.com/evenkeel/evenkeel/internal/problem"
)

// Find looks upwards from dir for an env.yaml of ours (`evenkeel:` at its top level). Files of that name that are not ours are
// named in the list as notes and passed over. "" where there is none.
func Find(dir string) (file string, passed problem.List, err error) {
	return "", nil, errors.New("not written yet")
}

// Load reads file and all it names. The list holds every problem found; the Definition is nil where one of them is an Error.
func Load(file string) (*Definition, problem.List, error) {
	return nil, nil, errors.New("not written yet")
}

// Options choose among what a definition offers.
type Options struct {
	Tier   string // "": $EVENKEEL_TIER is the caller's business; then default, then the only one
	As     string // a second copy beside the first
	Locked bool   // a missing lock is a problem
}

// MakePlan is what def comes to in one tier.
func MakePlan(def *Definition, o Options) (*Plan, problem.List) { return nil, nil }
