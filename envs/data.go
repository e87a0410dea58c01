// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/internal/strictyaml"
)

const (
	maxDisks    = 8                // of one machine
	maxDataName = 12               // as providers.Spec: a file system's label and a disk's serial number have to hold it
	minData     = 16 * mib         // less than this holds no file system worth its name
	maxPath     = 1024             // bytes
	maxKeep     = 10000            // more than a year of hours
	longForm    = `A-Za-z0-9._@+-` // what a path on a machine is made of: it stands unquoted in files there
)

var (
	pathForm = lazyregexp.New(`^(/[` + longForm + `]+)+$`)

	// Below these nothing is mounted or laid: they are the image's, the kernel's or Evenkeel's own.
	systemTrees = []string{
		"/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/run", "/sbin", "/sys", "/tmp", "/usr",
		"/var/lib/apt", "/var/lib/dpkg", "/var/lib/evenkeel", "/var/lib/systemd", "/var/lock", "/var/run", "/var/tmp",
	}
	// These hold such trees, or every login's home, so they are not covered as a whole.
	systemFolders = []string{"/home", "/opt", "/root", "/var", "/var/cache", "/var/lib", "/var/log", "/var/spool"}
)

// data is a kind's data disks, by name.
func (l *loader) data(n *strictyaml.Node) []Data {
	items := n.List()
	if len(items) > maxDisks {
		n.Errorf("got %d data disks; allowed are %d", len(items), maxDisks)
		return nil
	}
	var disks []Data
	for _, item := range items {
		f := item.Fields(dataKeys)
		if f == nil {
			continue
		}
		name, mount := f.Need("name"), f.Need("mount")
		d := Data{Name: dataName(name), Size: f.Need("size").Size(minData, maxDisk), Mount: machinePath(mount)}
		for _, other := range disks {
			if d.Name != "" && d.Name == other.Name {
				name.Errorf("got %s, the name of a data disk that stands above", d.Name)
			}
			if d.Mount != "" && other.Mount != "" && overlap(d.Mount, other.Mount) {
				mount.Errorf("got %s, which overlaps with the data disk at %s", d.Mount, other.Mount)
			}
		}
		disks = append(disks, d)
	}
	slices.SortFunc(disks, func(a, b Data) int { return strings.Compare(a.Name, b.Name) })
	return disks
}

func dataName(n *strictyaml.Node) string {
	name := label(n, n.Line())
	if len(name) > maxDataName {
		n.Errorf("got a name of %d characters; a data disk's name has at most %d", len(name), maxDataName)
		return ""
	}
	return name
}

// machinePath is n as a folder on a machine that is free to be covered.
func machinePath(n *strictyaml.Node) string {
	text := n.Line()
	if text == "" {
		return ""
	}
	if !pathForm.MatchString(text) || path.Clean(text) != text || len(text) > maxPath {
		p := n.Errorf("got %q; wanted is an absolute path below /, of letters, digits and . _ @ + -, such as /srv/app", clip(text))
		if clean := path.Clean(text); pathForm.MatchString(clean) {
			p.Hint = "write " + clean
		}
		return ""
	}
	for _, tree := range systemTrees {
		if within(text, tree) {
			n.Errorf("got %s; %s is the system's own", clip(text), tree).Hint = "choose a folder below /srv, /home or /var/lib"
			return ""
		}
	}
	if slices.Contains(systemFolders, text) {
		n.Errorf("got %s, which the system needs as it is; name a folder in it", text)
		return ""
	}
	return text
}

// within reports whether the path is folder or lies in it.
func within(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

func overlap(a, b string) bool { return within(a, b) || within(b, a) }

// sizes is what a tier says of data disks: their sizes by their names.
func sizes(n *strictyaml.Node, disks []Data) map[string]int64 {
	var m map[string]int64
	var known []string
	for _, d := range disks {
		known = append(known, d.Name)
	}
	for _, e := range n.Entries() {
		if !slices.Contains(known, e.Key) {
			p := e.At.Errorf("there is no data disk %q; there are %s", clip(e.Key), strings.Join(known, ", "))
			if len(known) == 0 {
				p.Message = "these machines have no data disks"
			} else if near := problem.Nearest(e.Key, known); near != "" {
				p.Hint = fmt.Sprintf("did you mean %s?", near)
			}
			continue
		}
		m = with(m, e.Key, e.Value.Size(minData, maxDisk))
	}
	return m
}

// rebuild is how machines with these data disks are replaced.
func rebuild(n *strictyaml.Node, disks []Data) Rebuild {
	f := n.Fields(rebuildKeys)
	order := f.Get("order")
	r := Rebuild{Surge: order.OneOf("replace", "surge") == "surge", Downtime: f.Get("downtime").OneOf("never", "allowed") == "allowed"}
	if r.Surge && len(disks) > 0 {
		order.Errorf("got surge, but these machines have data disks, and a disk cannot be in the old machine and the new one at once").Hint =
			"write order: replace"
	}
	return r
}

// keep reads `snapshots`.
func keep(n *strictyaml.Node) *Keep {
	f := n.Fields(snapshotsKeys).Need("keep").Fields(keepKeys)
	if f == nil {
		return nil
	}
	k := &Keep{
		Hourly: f.Get("hourly").Int(0, maxKeep), Daily: f.Get("daily").Int(0, maxKeep),
		Weekly: f.Get("weekly").Int(0, maxKeep), Monthly: f.Get("monthly").Int(0, maxKeep),
	}
	if *k == (Keep{}) {
		n.Errorf("this would keep no snapshot at all").Hint = "say how many of a kind stay, such as keep: {daily: 7}, or leave snapshots out and all stay"
	}
	return k
}
