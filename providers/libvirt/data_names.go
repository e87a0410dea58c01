// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/providers"
)

// Volumes of data disks and snapshots have prefixes of their own, so that nothing that removes a machine's volumes can ever meet them.
//
//	data disk    evenkeel-data_ENV_MACHINE_DISK.GENERATION.qcow2, and when it is whole .GENERATION.of.PROJECT (in hexadecimal), with
//	             .SECONDS (likewise, since 1970) where it expires
//	snapshot     evenkeel-snapshot_ENV_MACHINE_DISK_NAME.TAKEN.qcow2, and when it is whole .TAKEN.complete
//
// libvirt can neither rename a volume nor swap two, and a restore killed half-way must leave the old disk or the new one. So a
// restore makes the next generation, and the whole one of the highest number is the disk.
const (
	dataPrefix     = "evenkeel-data_"
	snapshotPrefix = "evenkeel-snapshot_"
)

// generation is one volume of a data disk, from 1 upwards.
type generation struct {
	disk   providers.DataRef
	number int
}

func (g generation) stem() string {
	return fmt.Sprintf("%s%s_%s_%s.%d.", dataPrefix, g.disk.Env, g.disk.Machine, g.disk.Name, g.number)
}

func (g generation) volume() string { return g.stem() + "qcow2" }
func (g generation) mark(o origin) string {
	name := g.stem() + "of." + hex.EncodeToString([]byte(o.project))
	if !o.expires.IsZero() {
		name += "." + strconv.FormatInt(o.expires.Unix(), 16)
	}
	return name
}

// origin is what the labels of the machine that a data disk was made with said of it.
type origin struct {
	project string
	expires time.Time // UTC, to the second; zero: never
}

func originOf(l providers.Labels) origin {
	return origin{l[providers.LabelProject], l.Time(providers.LabelExpires).UTC().Truncate(time.Second)}
}

// parseGeneration takes the name of a data disk's volume or mark apart.
func parseGeneration(name string) (g generation, o origin, mark, ok bool) {
	words, ok := parseDisk(name, dataPrefix, 3)
	if !ok {
		return g, o, false, false
	}
	g.disk = providers.DataRef{Env: words[0], Machine: words[1]}
	var rest, kind string
	g.disk.Name, rest, _ = strings.Cut(words[2], ".")
	number, kind, _ := strings.Cut(rest, ".")
	g.number, _ = strconv.Atoi(number) // what is no number is no name of ours, as the comparisons below show
	if kind == "qcow2" {
		return g, o, false, g.number > 0 && g.volume() == name
	}
	project, seconds, expires := strings.Cut(strings.TrimPrefix(kind, "of."), ".")
	b, err := hex.DecodeString(project)
	o.project = string(b)
	if n, err := strconv.ParseInt(seconds, 16, 64); expires && err == nil {
		o.expires = time.Unix(n, 0).UTC()
	}
	return g, o, true, err == nil && g.number > 0 && g.mark(o) == name
}

// snapshot is the volume of a data disk's snapshot.
type snapshot struct {
	disk  providers.DataRef
	name  string
	taken int64 // Unix time
}

func (s snapshot) stem() string {
	return fmt.Sprintf("%s%s_%s_%s_%s.%d.", snapshotPrefix, s.disk.Env, s.disk.Machine, s.disk.Name, s.name, s.taken)
}

func (s snapshot) volume() string  { return s.stem() + "qcow2" }
func (s snapshot) mark() string    { return s.stem() + complete }
func (s snapshot) time() time.Time { return time.Unix(s.taken, 0).UTC() }

// parseSnapshot takes the name of a snapshot's volume or mark apart.
func parseSnapshot(name string) (s snapshot, mark, ok bool) {
	words, ok := parseDisk(name, snapshotPrefix, 4)
	if !ok {
		return s, false, false
	}
	s.disk = providers.DataRef{Env: words[0], Machine: words[1], Name: words[2]}
	var rest string
	s.name, rest, _ = strings.Cut(words[3], ".")
	taken, kind, _ := strings.Cut(rest, ".")
	s.taken, _ = strconv.ParseInt(taken, 10, 64) // as above
	return s, kind == complete, s.name != "" && (s.volume() == name || s.mark() == name)
}

// dataOf is the data disk that a volume belongs to, as its content, its mark or its snapshot.
func dataOf(volume string) (providers.DataRef, bool) {
	if g, _, _, ok := parseGeneration(volume); ok {
		return g.disk, true
	}
	s, _, ok := parseSnapshot(volume)
	return s.disk, ok
}

// parseDisk takes apart what stands between underscores, none of it empty.
func parseDisk(name, prefix string, n int) (words []string, ok bool) {
	rest, ours := strings.CutPrefix(name, prefix)
	words = strings.Split(rest, "_")
	if !ours || len(words) != n {
		return nil, false
	}
	for _, w := range words {
		if w == "" || strings.HasPrefix(w, ".") {
			return nil, false
		}
	}
	return words, true
}
