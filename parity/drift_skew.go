// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"cmp"
	"slices"
	"strings"
)

// withoutDrift leaves out rows of skew that rows of drift say already: all machines that differ have drifted in that key, the reference has not, and their
// images agree in it. So one change on one machine is one finding.
func (c *Comparison) withoutDrift(skew, drift []Row, columns []*column, baseline string) []Row {
	type where struct {
		section, key string
		column       int
	}
	drifted := map[where]bool{}
	type about struct{ section, key, machines string }
	rows := map[about][]*Row{}
	for i := range drift {
		at := about{drift[i].Section, drift[i].Key, drift[i].Machines}
		rows[at] = append(rows[at], &drift[i])
		for j, cell := range drift[i].Cells {
			if cell.differs() {
				drifted[where{drift[i].Section, drift[i].Key, j}] = true
			}
		}
	}
	said := func(row Row) bool {
		// Within a tier what is laid on each machine says which of them has drifted, whatever their images.
		isLaid := row.Tier != "" && row.Section == "etc" && strings.HasPrefix(row.Key, "/etc/evenkeel/")
		ref := readable(ofKind(columns, row.Machines), cmp.Or(row.Tier, baseline))
		if row.Tier != "" && !isLaid || ref == nil || drifted[where{row.Section, row.Key, ref.index}] {
			return false
		}
		n := 0
		for j, cell := range row.Cells {
			if !cell.differs() {
				continue
			}
			if !drifted[where{row.Section, row.Key, j}] || !isLaid && !c.imagesAgree(ref, columns[j], row.Section, row.Key) {
				return false
			}
			n++
		}
		return n > 0
	}
	return slices.DeleteFunc(skew, func(row Row) bool {
		if !said(row) {
			return false
		}
		for _, d := range rows[about{row.Section, row.Key, row.Machines}] { // the reference is as the image, so what differs from it is the drift
			d.Diff = cmp.Or(d.Diff, row.Diff)
		}
		return true
	})
}

// imagesAgree reports whether the images of two columns surely hold the same of a key.
func (c *Comparison) imagesAgree(a, b *column, section, key string) bool {
	if a.image == "" || b.image == "" {
		return false
	}
	ma, mb := c.manifest(a.image), c.manifest(b.image)
	switch {
	case ma == nil || mb == nil:
		return false
	case section == "packages":
		return ma.packages[key] == mb.packages[key]
	case section == "etc":
		ea, inA := ma.files[key]
		eb, inB := mb.files[key]
		return inA == inB && ea.Type == eb.Type && ea.Mode == eb.Mode && ea.UID == eb.UID && ea.GID == eb.GID && ea.SHA256 == eb.SHA256 && ea.Link == eb.Link
	}
	return false
}

// fileDrift is a file's drift from its image: in what it differs, "" where in nothing that means something, and the difference of the texts, where both are known. The
// image's text is its own, or that of a machine that is as the image.
func (c *Comparison) fileDrift(columns []*column, col *column, m *manifestIndex, f *fact) (in, diff string) {
	e := m.files[f.key]
	if in = fileDiffers(e, f.value); in == "" || f.body == "" {
		return in, ""
	}
	own := fact{key: f.key, value: withoutDigest(f.value), body: c.policy.Texts[col.image][f.key]}
	if isMasked(f.body) || own.body == "" {
		for _, other := range columns {
			if g := other.views["etc"].get(f.key); g != nil && g.unknown == "" && g.body != "" && fileDiffers(e, g.value) == "" && g.keyID == f.keyID {
				own = *g
				break
			}
		}
	}
	if own.body == "" || isMasked(f.body) && own.keyID != f.keyID {
		return in, ""
	}
	own.meaning = c.views.meaning(f.key, own.body)
	if in == "content" && f.meaning != "" && f.meaning == own.meaning {
		return "", ""
	}
	return in, diffOf("etc", f.key, &own, f, "image", col.Tier+" "+col.Variant)
}
