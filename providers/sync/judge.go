// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"maps"
	"slices"
	"time"
)

// sums are digests of files' contents by path.
type sums map[string][32]byte

// sides are what is compared.
type sides struct {
	base    map[string]record
	host    tree
	machine tree
	// leave is true of paths that are not to be compared: ignored ones, and those that one side could not read.
	leave func(string) bool
	// first: no baseline holds for the machine's folder.
	first bool
	// sums grow as contents are asked for.
	hostSums, machineSums sums
}

// judgement is what has to be done. Slices are sorted.
type judgement struct {
	push, pull []string // carried to the machine, to the host
	dropThere  []string // deleted on the machine
	dropHere   []string // deleted on the host
	alike      []string // the same on both sides
	gone       []string // on neither side any more
	foreign    []string // on the machine, but another user's
	conflicts  []Conflict

	askHost, askMachine []string // contents that decide; judge again when they are known
}

// Conflict is a path that differs on both sides, or that could not be carried over. Neither side was touched.
type Conflict struct {
	Path string `json:"path"` // "." for the whole folder
	Why  string `json:"why"`
	// When each side was changed; zero: it was deleted, or that is not known.
	Host    time.Time `json:"host,omitzero"`
	Machine time.Time `json:"machine,omitzero"`
	// Again: it could not be carried over this time; the next sync may do it, or find that both sides are alike.
	Again bool `json:"-"`
}

// change is how one side stands to the baseline.
type change int

const (
	never   change = iota // not there, nor in the baseline
	kept                  // as the baseline has it
	altered               // new, or other than the baseline
	deleted
	unsure // its content decides
)

func (s *sides) changeOf(p string, side tree, known sums, ns func(record) int64) change {
	e, there := side[p]
	r, was := s.base[p]
	switch {
	case !there && !was:
		return never
	case !there:
		return deleted
	case !was || e.Kind != r.Kind || e.Exec != r.Exec || e.Size != r.Size || e.Link != r.Link:
		return altered
	case e.Kind == link || e.Time == ns(r):
		return kept
	}
	sum, ok := known[p]
	switch {
	case !ok:
		return unsure
	case sum == r.Sum:
		return kept
	}
	return altered
}

// judge compares both sides with the baseline and each other.
func (s *sides) judge() *judgement {
	j := &judgement{}
	all := make(map[string]bool, len(s.base)+len(s.host))
	for p := range s.base {
		all[p] = true
	}
	for p := range s.host {
		all[p] = true
	}
	for p := range s.machine {
		all[p] = true
	}
	for _, p := range slices.Sorted(maps.Keys(all)) {
		if !s.leave(p) {
			s.one(j, p)
		}
	}
	return j
}

func (s *sides) one(j *judgement, p string) {
	here := s.changeOf(p, s.host, s.hostSums, func(r record) int64 { return r.Host })
	there := s.changeOf(p, s.machine, s.machineSums, func(r record) int64 { return r.Machine })
	if _, was := s.base[p]; !was && there == altered && s.machine[p].Foreign {
		// What is not the user's is no edit: the image brought it, or a service wrote it. It stays, but that the host's file takes the image's place.
		switch {
		case here == never:
			j.foreign = append(j.foreign, p)
			return
		case s.first:
			j.push = append(j.push, p)
			return
		}
	}
	switch {
	case here == unsure || there == unsure:
		if here == unsure {
			j.askHost = append(j.askHost, p)
		}
		if there == unsure {
			j.askMachine = append(j.askMachine, p)
		}
	case here == kept && there == kept:
		j.alike = append(j.alike, p)
	case here == deleted && there == deleted:
		j.gone = append(j.gone, p)
	case there == kept || there == never:
		if here == deleted {
			j.dropThere = append(j.dropThere, p)
		} else {
			j.push = append(j.push, p)
		}
	case here == kept || here == never:
		if there == deleted {
			j.dropHere = append(j.dropHere, p)
		} else {
			j.pull = append(j.pull, p)
		}
	case here == deleted || there == deleted:
		s.conflict(j, p)
	default:
		s.both(j, p)
	}
}

// both judges a path that both sides changed, or that is new to both.
func (s *sides) both(j *judgement, p string) {
	a, b := s.host[p], s.machine[p]
	if a.Kind != b.Kind || a.Exec != b.Exec || a.Size != b.Size || a.Link != b.Link {
		s.conflict(j, p)
		return
	}
	x, knownHere := s.hostSums[p]
	y, knownThere := s.machineSums[p]
	switch {
	case a.Kind == link:
		j.alike = append(j.alike, p)
	case !knownHere || !knownThere:
		if !knownHere {
			j.askHost = append(j.askHost, p)
		}
		if !knownThere {
			j.askMachine = append(j.askMachine, p)
		}
	case x == y:
		j.alike = append(j.alike, p)
	default:
		s.conflict(j, p)
	}
}

func (s *sides) conflict(j *judgement, p string) {
	c := Conflict{Path: p, Why: "changed on both sides"}
	a, here := s.host[p]
	b, there := s.machine[p]
	if _, was := s.base[p]; !was {
		c.Why = "on both sides, with other content, and never synced"
	}
	switch {
	case !here:
		c.Why = "deleted on this computer, changed on the machine"
	case !there:
		c.Why = "changed on this computer, deleted on the machine"
	}
	if here && a.Kind == file {
		c.Host = timeOf(a.Time)
	}
	if there && b.Kind == file {
		c.Machine = timeOf(b.Time)
	}
	j.conflicts = append(j.conflicts, c)
}

// Side is one of the two sides.
type Side string

const (
	Host    Side = "local"
	Machine Side = "machine"
)

// prefer settles every conflict for one side.
func (s *sides) prefer(j *judgement, side Side) {
	for _, c := range j.conflicts {
		_, here := s.host[c.Path]
		_, there := s.machine[c.Path]
		switch {
		case side == Host && here:
			j.push = append(j.push, c.Path)
		case side == Host:
			j.dropThere = append(j.dropThere, c.Path)
		case there:
			j.pull = append(j.pull, c.Path)
		default:
			j.dropHere = append(j.dropHere, c.Path)
		}
	}
	j.conflicts = nil
}

// vanished finds a side that lost everything at once: a folder emptied by mistake, or not mounted, must not empty the other.
func (s *sides) vanished(j *judgement) bool {
	where := ""
	switch {
	case len(s.base) == 0 || len(s.host) > 0 && len(s.machine) > 0:
		return false
	case len(j.dropThere) > 0 && len(s.host) == 0:
		where = "on this computer"
	case len(j.dropHere) > 0 && len(s.machine) == 0:
		where = "on the machine"
	default:
		return false
	}
	j.conflicts = []Conflict{{Path: ".", Why: "everything is gone " + where}}
	j.push, j.pull, j.dropHere, j.dropThere = nil, nil, nil, nil
	return true
}
