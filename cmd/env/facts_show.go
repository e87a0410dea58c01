// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/providers"
)

// summary is what is shown of a machine: what it runs, how much was read, and what could not be. ours is the digest of the collector that was sent, "" where none was.
func summary(s *parity.Snapshot, ours string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", shownName(s))
	if s.Unreachable != "" {
		fmt.Fprintf(&b, ": unreachable: %s\n", cell(s.Unreachable))
		return b.String()
	}
	values := map[string]string{}
	items, unknownItems, unknown := 0, 0, 0
	packages := -1
	for i := range s.Sections {
		section := &s.Sections[i]
		if section.Unknown != "" {
			unknown++
		}
		items += len(section.Items)
		if section.Name == "packages" && section.Unknown == "" {
			packages = len(section.Items)
		}
		for j := range section.Items {
			item := &section.Items[j]
			if item.Unknown != "" {
				unknownItems++
			} else if section.Name == "os" || section.Name == "boot" {
				values[section.Name+"/"+item.Key] = item.Value
			}
		}
	}
	var known []string
	add := func(format, value string) {
		if value != "" {
			known = append(known, fmt.Sprintf(format, cell(value)))
		}
	}
	name := values["os/pretty_name"]
	if name == "" {
		name = strings.TrimSpace(values["os/id"] + " " + values["os/version_id"])
	}
	add("%s", name)
	add("%s", values["os/architecture"])
	add("kernel %s", values["os/kernel"])
	if packages >= 0 {
		known = append(known, counted(packages, "package"))
	}
	if reboot := values["os/reboot_pending"]; reboot != "no" {
		add("reboot pending: %s", reboot)
	}
	if d := time.Duration(s.Skew * float64(time.Second)); d.Abs() > parity.MaxSkew {
		known = append(known, fmt.Sprintf("its clock is off by %s", d.Round(time.Second)))
	}
	fmt.Fprintf(&b, ": %s\n", strings.Join(known, ", "))
	fmt.Fprintf(&b, "  %s in %s read at %s", counted(items, "fact"), counted(len(s.Sections)-unknown, "section"), clock(s.Taken))
	if unknownItems > 0 {
		fmt.Fprintf(&b, "; of these facts %d could not be read", unknownItems)
	}
	if ours != "" && ours != s.Collector {
		fmt.Fprintf(&b, "; by the copy of another collector on the machine, %.12s", cell(s.Collector))
	}
	b.WriteString("\n")
	for i := range s.Sections {
		if s.Sections[i].Unknown != "" {
			fmt.Fprintf(&b, "  %s: unknown: %s\n", cell(s.Sections[i].Name), cell(s.Sections[i].Unknown))
		}
	}
	return b.String()
}

// detail is all facts of the sections of a snapshot.
func detail(s *parity.Snapshot) string {
	if s.Unreachable != "" {
		return summary(s, "")
	}
	var b strings.Builder
	for i := range s.Sections {
		section := &s.Sections[i]
		fmt.Fprintf(&b, "%s of %s at %s", cell(section.Name), shownName(s), clock(s.Taken))
		if section.Unknown != "" {
			fmt.Fprintf(&b, ": unknown: %s\n", cell(section.Unknown))
			continue
		}
		fmt.Fprintf(&b, ": %s\n", counted(len(section.Items), "fact"))
		width := 0
		for j := range section.Items {
			if n := len([]rune(cell(section.Items[j].Key))); n <= 48 {
				width = max(width, n)
			}
		}
		for j := range section.Items {
			item := &section.Items[j]
			value := cell(item.Value)
			if item.Unknown != "" {
				value = strings.TrimSpace(value + " unknown: " + cell(item.Unknown))
			}
			fmt.Fprintf(&b, "  %s\n", strings.TrimRight(fmt.Sprintf("%-*s  %s", width, cell(item.Key), value), " "))
			for line := range strings.Lines(item.Body) {
				fmt.Fprintf(&b, "    | %s\n", cell(strings.TrimSuffix(line, "\n")))
			}
		}
	}
	return b.String()
}

func shownName(s *parity.Snapshot) string {
	if s.Subject.Tier == "" {
		return cell(s.Subject.Name)
	}
	return cell(s.Subject.Tier + "/" + s.Subject.Name)
}

// cell is a machine's word in one line of a terminal.
func cell(s string) string {
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(providers.Printable(s))
}
