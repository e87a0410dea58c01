// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// What ages are read from, beside the place's own record (Subject.Created):
//
//	section birth: an item for each source, its value RFC 3339. The first of: stamp (laid when the machine was made), cloud-init, rootfs, packages (the log's first entry)
//	section boot:  uptime (seconds; with suspend), boot_time (RFC 3339), boot_id; an item that a container cannot know is Unknown
//	section os:    id, id_like, version_id
//	section os:    reboot_pending: why the machine should be rebooted, or "no"
//	section updates: an item for each package with a pending security update; lists_time (RFC 3339) is when the machine last asked
const (
	sectionBirth = "birth"
	sectionBoot  = "boot"
	sectionOS    = "os"
)

// age is one figure and where it comes from. An unknown one is neither young nor old.
type age struct {
	span   time.Duration
	source string
	why    string // it is not known
}

// ages are a machine's three, as far as the machine itself decides them.
type ages struct {
	created, uptime age
}

// maxLists is how old a machine's own package lists may be for it to know what is pending.
const maxLists = 48 * time.Hour

// upkeep is what a machine says it waits for.
type upkeep struct {
	reboot  string   // why it should be rebooted; "" where not
	unsure  string   // why that is not known
	pending int      // packages with security updates
	updates []string // the first of their names, as many as are told
	unknown string   // why updates are not known; "" also where the machine was not asked
}

// toldUpdates is how many packages with pending updates are named for a machine.
const toldUpdates = 10

func upkeepOf(s *Snapshot) upkeep {
	var u upkeep
	if text, ok := itemOf(s, sectionOS, "reboot_pending"); ok && text != "no" && text != "false" && text != "" {
		u.reboot = text
	}
	for i := range s.Sections {
		section := &s.Sections[i]
		switch section.Name {
		case sectionOS:
			u.unsure = section.Unknown
			continue
		case "updates":
			u.unknown = section.Unknown
		default:
			continue
		}
		for j := range section.Items {
			switch item := &section.Items[j]; {
			case item.Key == "lists_time":
				t, err := time.Parse(time.RFC3339, item.Value)
				if err != nil {
					u.unknown = "it does not say how old its package lists are"
				} else if old := s.Taken.Add(time.Duration(s.Skew * float64(time.Second))).Sub(t); old > maxLists {
					u.unknown = "its package lists are " + days(old) + " old"
				}
			case item.Unknown != "":
				u.unknown = item.Unknown
			default:
				if u.pending++; u.pending <= toldUpdates {
					u.updates = append(u.updates, item.Key)
				}
			}
		}
	}
	return u
}

// agesOf reads a machine's ages as of when the snapshot was taken; what is judged later adds the time that passed since then.
func agesOf(s *Snapshot) ages {
	if s.Unreachable != "" {
		return ages{created: createdBy(s, "it was not read"), uptime: age{why: "it was not read"}}
	}
	skewed := ""
	if off := time.Duration(s.Skew * float64(time.Second)); off.Abs() > MaxSkew {
		skewed = fmt.Sprintf("its clock is off by %s", days(off.Abs()))
	}
	a := ages{created: createdBy(s, skewed), uptime: uptimeOf(s, skewed)}
	// A machine cannot be up for longer than it exists: its memory was restored from an image that was made of another.
	if a.created.why == "" && a.uptime.why == "" && a.uptime.span > a.created.span+MaxSkew {
		a.uptime = age{why: "its uptime is that of a memory image made before the machine"}
	}
	return a
}

// createdBy is the instance's age: by the place's record, else by the best of the machine's own marks.
func createdBy(s *Snapshot, skewed string) age {
	if !s.Subject.Created.IsZero() {
		return age{span: s.Taken.Sub(s.Subject.Created), source: "the place's record"}
	}
	if skewed != "" {
		return age{why: skewed}
	}
	for _, source := range []string{"stamp", "cloud-init", "rootfs", "packages"} {
		text, ok := itemOf(s, sectionBirth, source)
		if !ok {
			continue
		}
		t, err := time.Parse(time.RFC3339, text)
		if err != nil || t.Year() < 1990 || t.After(s.Taken.Add(MaxSkew)) {
			continue // the clock was not set then
		}
		return age{span: max(s.Taken.Sub(t), 0), source: "its " + source}
	}
	return age{why: "neither the place nor the machine says when it was made"}
}

// uptimeOf is a span, which a wrong clock does not change where the kernel counted it.
func uptimeOf(s *Snapshot, skewed string) age {
	if text, ok := itemOf(s, sectionBoot, "uptime"); ok {
		seconds, err := strconv.ParseFloat(strings.TrimSuffix(text, "s"), 64)
		if err == nil && seconds >= 0 && seconds < 5e9 { // a Duration holds 292 years
			return age{span: time.Duration(seconds * float64(time.Second)), source: "its kernel"}
		}
	}
	if text, ok := itemOf(s, sectionBoot, "boot_time"); ok && skewed == "" {
		if t, err := time.Parse(time.RFC3339, text); err == nil && !t.After(s.Taken.Add(MaxSkew)) {
			return age{span: max(s.Taken.Sub(t), 0), source: "its boot time"}
		}
	}
	return age{why: cmp.Or(skewed, "the machine does not say since when it runs")}
}

// system is what a machine runs.
type system struct{ id, like, version string }

func osOf(s *Snapshot) system {
	var o system
	o.id, _ = itemOf(s, sectionOS, "id")
	o.like, _ = itemOf(s, sectionOS, "id_like")
	o.version, _ = itemOf(s, sectionOS, "version_id")
	return o
}

// itemOf is the value of an item that is known.
func itemOf(s *Snapshot, section, key string) (string, bool) {
	for i := range s.Sections {
		if s.Sections[i].Name != section {
			continue
		}
		for j := range s.Sections[i].Items {
			if item := &s.Sections[i].Items[j]; item.Key == key && item.Unknown == "" {
				return item.Value, true
			}
		}
	}
	return "", false
}

// Overdue says whether a machine is older than limit as of at, and by which figure: its age, or an uptime that shows it cannot be younger. unknown says why
// that cannot be told; a limit of 0 is none.
func Overdue(s *Snapshot, limit time.Duration, at time.Time) (overdue bool, old time.Duration, source, unknown string) {
	if limit == 0 {
		return false, 0, "", ""
	}
	a := agesOf(s)
	passed := max(at.Sub(s.Taken), 0)
	switch {
	case a.created.why == "":
		old, source = a.created.span+passed, a.created.source
	case a.uptime.why == "" && a.uptime.span+passed > limit:
		old, source = a.uptime.span+passed, "its uptime"
	default:
		return false, 0, "", a.created.why
	}
	return old > limit, old, source, ""
}
