// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"

	"github.com/evenkeel/evenkeel/internal/strictyaml"
)

const maxCode = 16 // folders of one machine

// code is the folders of the project that live on a machine with these data disks.
func (l *loader) code(n *strictyaml.Node, disks []Data) []Code {
	items := n.List()
	if len(items) > maxCode {
		n.Errorf("got %d folders of code; allowed are %d", len(items), maxCode)
		return nil
	}
	var all []Code
	for _, item := range items {
		f := item.Fields(codeKeys)
		if f == nil {
			continue
		}
		to := f.Need("to")
		c := Code{From: l.folder(f.Need("from")), To: machinePath(to)}
		if c.To == "" {
			continue
		}
		for _, other := range all {
			if overlap(c.To, other.To) {
				to.Errorf("got %s, which overlaps with the code at %s", c.To, other.To)
				break
			}
		}
		for _, d := range disks {
			if d.Mount != "" && overlap(c.To, d.Mount) {
				to.Errorf("got %s, which overlaps with the data disk at %s; code comes from the project and is not kept as data", c.To, d.Mount)
			}
		}
		all = append(all, c)
	}
	return all
}

// folder is a folder of the project; what lies behind a link out of it does not count.
func (l *loader) folder(n *strictyaml.Node) string {
	name := n.Line()
	if name == "" {
		return ""
	}
	if !filepath.IsLocal(name) {
		n.Errorf("got %q; code lies inside the project, named relative to env.yaml, such as ./app", clip(name))
		return ""
	}
	clean := path.Clean(name)
	info, err := l.root.Stat(clean)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		n.Errorf("the folder %s does not exist", clip(name))
		return ""
	case err != nil:
		n.Errorf("the folder %s cannot be used: %v", clip(name), leaf(err))
		return ""
	case !info.IsDir():
		n.Errorf("got %s, which is no folder", clip(name))
		return ""
	}
	return filepath.Join(l.def.Dir, clean)
}
