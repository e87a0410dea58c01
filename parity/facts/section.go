// SPDX-License-Identifier: Apache-2.0

package facts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/collectors"
)

const (
	maxItems = 100_000  // of a section
	maxKey   = 4 << 10  // bytes: a path has at most as many
	maxValue = 64 << 10 // bytes
	maxBody  = 1 << 20  // bytes
)

// Section is what a group makes of what a machine printed: parsed, masked, in order, with its digest. What cannot be parsed makes it unknown. The lane is the group's.
func Section(g collectors.Group, raw []byte, m *Mask) parity.Section {
	items, err := parseItems(g, raw, m)
	if err != nil {
		return unknownSection(&g, m.text("what the machine says cannot be read: "+err.Error(), false))
	}
	return parity.Section{Name: g.Name, Lane: g.Lane, Digest: parity.DigestSection(items), Items: items}
}

func parseItems(g collectors.Group, raw []byte, m *Mask) (items []parity.Item, err error) {
	defer func() {
		if p := recover(); p != nil { // a machine's words must not end an audit of others
			items, err = nil, fmt.Errorf("the parser of %s failed: %v", g.Name, p)
		}
	}()
	if n := bytes.Count(raw, []byte("\n")); n > maxItems {
		return nil, fmt.Errorf("it has %d lines; at most %d are read", n, maxItems)
	}
	items, err = g.Parse(raw)
	if err != nil {
		return nil, err
	}
	if len(items) > maxItems {
		return nil, fmt.Errorf("it has %d items; at most %d are read", len(items), maxItems)
	}
	items = slices.Clone(items)
	for i := range items {
		if err := tidy(&items[i]); err != nil {
			return nil, err
		}
	}
	m.Items(g.Name, items) // before they are sorted: keys may hold secrets, too
	slices.SortFunc(items, func(a, b parity.Item) int { return strings.Compare(a.Key, b.Key) })
	for i := 1; i < len(items); i++ {
		if items[i].Key == items[i-1].Key {
			return nil, fmt.Errorf("it says %.100q twice", items[i].Key)
		}
	}
	return items, nil
}

// tidy makes every text of an item valid UTF-8, and bounds it.
func tidy(item *parity.Item) error {
	for _, text := range []*string{&item.Key, &item.Value, &item.Body, &item.Since, &item.Unknown} {
		*text = strings.Clone(valid(*text)) // what a section keeps must not keep the whole raw text in memory
	}
	switch {
	case item.Key == "":
		return errors.New("an item has no key")
	case len(item.Key) > maxKey:
		return fmt.Errorf("a key has %d bytes; at most %d are read", len(item.Key), maxKey)
	case len(item.Value) > maxValue:
		return fmt.Errorf("the value of %.100q has %d bytes; at most %d are read", item.Key, len(item.Value), maxValue)
	case len(item.Body) > maxBody:
		return fmt.Errorf("the text of %.100q has %d bytes; at most %d are read", item.Key, len(item.Body), maxBody)
	}
	return nil
}

// valid shows bytes that are no UTF-8 as \xHH, and in such a text a backslash before x doubled: two file names that differ stay different.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\\' && i+1 < len(s) && s[i+1] == 'x':
			b.WriteString(`\\`)
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

func unknownSection(g *collectors.Group, why string) parity.Section {
	return parity.Section{Name: g.Name, Lane: g.Lane, Unknown: reasonText(why), Digest: emptyDigest}
}

// emptyDigest is that of a section without items.
var emptyDigest = parity.DigestSection(nil)

// reasonText is a reason in one line of a bounded length, without what a terminal acts on.
func reasonText(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, valid(s))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "..."
	}
	return s
}

// known is a section that a machine did not send.
func (c *collector) known(ctx context.Context, id SectionID, known []string) (parity.Section, bool) {
	if !slices.Contains(known, id.Raw) {
		return parity.Section{}, false
	}
	if s, ok := c.shared.sections.get(id); ok {
		return s, true
	}
	if c.Cache == nil {
		return parity.Section{}, false
	}
	s, ok, err := c.Cache.Section(ctx, id)
	if err != nil {
		c.warn(fmt.Errorf("cannot read known facts: %w", err))
	}
	if err != nil || !ok || s.Name != id.Group || s.Unknown != "" {
		return parity.Section{}, false
	}
	return c.shared.sections.add(id, s, true), true
}

// parse is the section that raw comes to: once for all machines that say the same.
func (c *collector) parse(ctx context.Context, id SectionID, raw []byte) parity.Section {
	if s, ok := c.shared.sections.get(id); ok {
		return s
	}
	s := Section(*c.groups[id.Group], raw, c.mask)
	offer := len(raw) >= small && s.Unknown == "" && !strings.HasSuffix(id.Group, parity.OwnSuffix) // no other machine says the same
	s = c.shared.sections.add(id, s, offer)
	if offer && c.Cache != nil {
		if err := c.Cache.Keep(ctx, id, s); err != nil {
			c.warn(fmt.Errorf("cannot keep facts for the next time: %w", err))
		}
	}
	return s
}

// offer is what a machine is told that we know, the likeliest first.
func (c *collector) offer() []string { return c.shared.sections.offer(c.kept, maxOffered) }

// offerFirst is offer for a machine that is asked now. While nothing is known few are asked, so that not all say the same; asked is called once that is over.
func (c *collector) offerFirst(ctx context.Context) (known []string, asked func()) {
	known = c.offer()
	if len(known) > 0 {
		return known, func() {}
	}
	asked, err := c.shared.blind.enter(ctx)
	if err != nil {
		return nil, func() {} // who asks finds that out
	}
	if known = c.offer(); len(known) > 0 {
		asked()
		return known, func() {}
	}
	return nil, asked
}
