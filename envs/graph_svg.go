// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

const (
	margin    = 24
	padding   = 14 // inside a box
	headline  = 40
	footline  = 30
	nameSize  = 15 // pixels, as are all of these
	lineSize  = 12
	lineStep  = 18
	diskStep  = 22
	diskWidth = 22 // the drum and its distance from the text
	stack     = 8  // how far the machines below the first one stand out
)

// The colours follow the reader's scheme; the ground is drawn, so that the picture is legible on a page of the other one.
const svgStyle = `
  svg { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
  .ground { fill: #ffffff; stroke: #d0d7de; }
  .box { fill: #eef4fc; stroke: #3b6ea5; stroke-width: 1.4; }
  .outside { fill: #fff7ea; stroke: #b26a00; stroke-width: 1.4; }
  .external { fill: #f6f8fa; stroke: #57606a; stroke-width: 1.4; stroke-dasharray: 6 4; }
  .disk { fill: #cfe0f4; stroke: #3b6ea5; stroke-width: 1.2; }
  .name { fill: #1f2328; font-size: 15px; font-weight: 600; }
  .line { fill: #4b535d; font-size: 12px; }
  .wire { fill: none; stroke: #4b535d; stroke-width: 1.4; }
  .tip { fill: #4b535d; }
  .ports { fill: #1f2328; font-size: 12px; stroke: #ffffff; stroke-width: 4px; stroke-linejoin: round; paint-order: stroke; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; stroke: #30363d; }
    .box { fill: #14243a; stroke: #6ea8e0; }
    .outside { fill: #2d2210; stroke: #e0a34a; }
    .external { fill: #161b22; stroke: #8b949e; }
    .disk { fill: #24456b; stroke: #6ea8e0; }
    .name { fill: #e6edf3; }
    .line { fill: #b1bac4; }
    .wire { stroke: #b1bac4; }
    .tip { fill: #b1bac4; }
    .ports { fill: #e6edf3; stroke: #0d1117; }
  }
`

// SVG is g as a picture of its own: no font, script or style sheet is fetched.
func (g Graph) SVG() []byte {
	l := lay(g, nodeSize, func(e Edge) float64 { return textWidth(e.Ports, lineSize) + 16 })
	const foot = "What has no arrow is refused, but for SSH and ping."
	w := math.Ceil(max(l.width, textWidth(g.Title, nameSize+1), textWidth(foot, lineSize)) + 2*margin)
	h := math.Ceil(l.height + 2*margin + headline + footline)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img" aria-labelledby="title">`+"\n", w, h, w, h)
	fmt.Fprintf(&b, "<title id=\"title\">%s</title>\n<style>%s</style>\n", xmlText(g.Title), svgStyle)
	b.WriteString(`<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto-start-reverse"><path class="tip" d="M0 0 10 5 0 10z"/></marker></defs>` + "\n")
	fmt.Fprintf(&b, `<rect class="ground" x="0.5" y="0.5" width="%.0f" height="%.0f" rx="8"/>`+"\n", w-1, h-1)
	text(&b, "name", margin, margin+nameSize, "start", g.Title)
	text(&b, "line", margin, h-margin+6, "start", foot)
	fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n", margin, margin+headline)
	drawWires(&b, g, l)
	for _, column := range l.columns {
		for _, c := range column {
			if c.node >= 0 {
				drawNode(&b, g.Nodes[c.node], c)
			}
		}
	}
	b.WriteString("</g>\n</svg>\n")
	return []byte(b.String())
}

func nodeSize(n Node) (w, h float64) {
	w, h = textWidth(n.title(), nameSize), nameSize+8
	for _, line := range n.Lines {
		w = max(w, textWidth(line, lineSize))
		h += lineStep
	}
	for _, d := range n.Disks {
		w = max(w, textWidth(d, lineSize)+diskWidth)
		h += diskStep
	}
	if n.Count > 1 {
		w += stack
	}
	return math.Ceil(max(w, 60) + 2*padding), h + padding
}

func (n Node) title() string {
	if n.Count > 1 {
		return fmt.Sprintf("%s ×%d", n.Name, n.Count)
	}
	return n.Name
}

// textWidth is about what a wide sans serif needs: there is no font to ask, and too much room harms less than too little.
func textWidth(text string, size float64) float64 {
	units := 0.0
	for _, r := range text {
		switch {
		case width.LookupRune(r).Kind() == width.EastAsianWide || width.LookupRune(r).Kind() == width.EastAsianFullwidth:
			units += 1.05
		case strings.ContainsRune("iljtfrI.,:;|' ", r):
			units += 0.4
		case strings.ContainsRune("mwMW@%", r) || r > 0x2e80:
			units += 0.98
		default:
			units += 0.65
		}
	}
	return units * size
}

func drawNode(b *strings.Builder, n Node, c *cell) {
	class, round := "box", 6.0
	switch n.Type {
	case NodeAnywhere, NodeNetwork:
		class, round = "outside", min(c.height/2, 18)
	case NodeExternal:
		class = "external"
	}
	w := c.width
	if n.Count > 1 {
		w -= stack
		for _, shift := range []float64{stack, stack / 2} { // the last machine below
			rect(b, class, c.x+shift, c.y-shift, w, c.height, round)
		}
	}
	rect(b, class, c.x, c.y, w, c.height, round)
	_, needed := nodeSize(n)
	y := c.y + (c.height-needed)/2 + padding/2 + nameSize + 1
	text(b, "name", c.x+padding, y, "start", n.title())
	for _, line := range n.Lines {
		y += lineStep
		text(b, "line", c.x+padding, y, "start", line)
	}
	for _, d := range n.Disks {
		y += diskStep
		drum(b, c.x+padding, y-11)
		text(b, "line", c.x+padding+diskWidth, y, "start", d)
	}
}

func drum(b *strings.Builder, x, y float64) {
	fmt.Fprintf(b, `<path class="disk" d="M%.1f %.1fv9c0 4 14 4 14 0v-9"/><ellipse class="disk" cx="%.1f" cy="%.1f" rx="7" ry="3"/>`+"\n", x, y+2, x+7, y+2)
}

func drawWires(b *strings.Builder, g Graph, l *layout) {
	byEdge := make([][]*wire, len(g.Edges))
	for _, w := range l.wires {
		byEdge[w.edge] = append(byEdge[w.edge], w)
	}
	for i, wires := range byEdge {
		if len(wires) == 0 {
			continue
		}
		drawWire(b, wires, textWidth(g.Edges[i].Ports, lineSize)+14)
	}
	for i, wires := range byEdge { // after all lines, which their edging covers
		if len(wires) == 0 {
			continue
		}
		first, last := wires[0], wires[len(wires)-1]
		if first.back {
			text(b, "ports", first.left.x+first.left.width+14, first.leftY-6, "start", g.Edges[i].Ports)
		} else {
			text(b, "ports", last.right.x-14, last.rightY-6, "end", g.Edges[i].Ports)
		}
	}
}

// drawWire draws one edge through its passages. Beside its label the line is straight.
func drawWire(b *strings.Builder, wires []*wire, label float64) {
	first, last := wires[0], wires[len(wires)-1]
	x, y := first.left.x+first.left.width, first.leftY
	var d strings.Builder
	fmt.Fprintf(&d, "M%.1f %.1f", x, y)
	if first.back {
		x += label
		fmt.Fprintf(&d, "H%.1f", x)
	}
	for i, w := range wires {
		endX, endY := w.right.x, w.rightY
		if w == last && !w.back {
			endX -= label
		}
		bend := (endX - x) / 2
		fmt.Fprintf(&d, "C%.1f %.1f %.1f %.1f %.1f %.1f", x+bend, y, endX-bend, endY, endX, endY)
		x, y = endX, endY
		if i < len(wires)-1 {
			x = w.right.x + w.right.width
			fmt.Fprintf(&d, "H%.1f", x)
		}
	}
	end := "marker-end"
	if first.back {
		end = "marker-start"
	} else {
		fmt.Fprintf(&d, "H%.1f", last.right.x)
	}
	fmt.Fprintf(b, `<path class="wire" %s="url(#tip)" d="%s"/>`+"\n", end, d.String())
}

func rect(b *strings.Builder, class string, x, y, w, h, round float64) {
	fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="%.1f"/>`+"\n", class, x, y, w, h, round)
}

func text(b *strings.Builder, class string, x, y float64, anchor, words string) {
	fmt.Fprintf(b, `<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, xmlText(words))
}

// xmlText is text with what XML takes for markup, or does not allow at all, replaced.
func xmlText(words string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(oneWay(words))) // a strings.Builder takes all
	return b.String()
}

// oneWay is text without the characters that turn the direction of what follows them.
func oneWay(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
