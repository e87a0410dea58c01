// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"cmp"
	"slices"
)

// The layout is that of Sugiyama, Tagawa and Toda (1981) in its simplest form: nodes in columns such that edges point to the right, an order in
// each column with few crossings, places near those they are tied to. Edges that would span columns pass each through a cell of its own.

// cell is a node, or one passage of a long edge, in its column. Places are in pixels; x, y is the upper left corner.
type cell struct {
	node          int // index into Graph.Nodes, -1 for a passage
	column        int
	x, y          float64
	width, height float64
	in, out       []*wire // to the columns on the left and right
}

func (c *cell) middle() float64 { return c.y + c.height/2 }

// wire ties a cell to one in the next column.
type wire struct {
	left, right *cell
	edge        int // index into Graph.Edges
	back        bool
	// Where it leaves and arrives.
	leftY, rightY float64
}

type layout struct {
	columns       [][]*cell
	wires         []*wire
	width, height float64
}

const (
	rowGap      = 28
	passage     = 20 // height of a long edge's cell
	slot        = 26 // between the ends of wires on one side of a node
	maxPassages = 20_000
	sweeps      = 12
)

// lay places g: size is what a node needs, label how wide the text beside an edge is.
func lay(g Graph, size func(Node) (width, height float64), label func(Edge) float64) *layout {
	from, to := ends(g)
	columns := columnsOf(len(g.Nodes), from, to)
	l := &layout{}
	nodes := make([]*cell, len(g.Nodes))
	for i, n := range g.Nodes {
		nodes[i] = &cell{node: i, column: columns[i]}
		nodes[i].width, nodes[i].height = size(n)
		l.add(nodes[i])
	}
	passages := 0
	for i := range g.Edges {
		a, b, back := nodes[from[i]], nodes[to[i]], false
		if a == b {
			continue
		}
		if a.column > b.column {
			a, b, back = b, a, true
		}
		for a.column+1 < b.column && passages < maxPassages {
			p := &cell{node: -1, column: a.column + 1, height: passage}
			l.add(p)
			l.tie(a, p, i, back)
			a, passages = p, passages+1
		}
		l.tie(a, b, i, back)
	}
	for _, n := range nodes {
		n.height = max(n.height, float64(max(len(n.in), len(n.out)))*slot+8)
	}
	l.order()
	l.placeRows()
	l.placeColumns(g, label)
	l.attach()
	return l
}

func (l *layout) add(c *cell) {
	for len(l.columns) <= c.column {
		l.columns = append(l.columns, nil)
	}
	l.columns[c.column] = append(l.columns[c.column], c)
}

func (l *layout) tie(a, b *cell, edge int, back bool) {
	w := &wire{left: a, right: b, edge: edge, back: back}
	a.out, b.in = append(a.out, w), append(b.in, w)
	l.wires = append(l.wires, w)
}

func ends(g Graph) (from, to []int) {
	index := map[string]int{}
	for i, n := range g.Nodes {
		index[n.ID] = i
	}
	for _, e := range g.Edges {
		from, to = append(from, index[e.From]), append(to, index[e.To])
	}
	return from, to
}

// columnsOf puts every node to the right of all that lead to it; edges that would close a circle do not count.
func columnsOf(n int, from, to []int) []int {
	next := make([][]int, n)
	for i := range from {
		if from[i] != to[i] {
			next[from[i]] = append(next[from[i]], to[i])
		}
	}
	const (
		fresh = iota
		open
		done
	)
	state, order := make([]int, n), []int{}
	forward := make([][]int, n)
	var visit func(int)
	visit = func(a int) {
		state[a] = open
		for _, b := range next[a] {
			if state[b] == open {
				continue
			}
			forward[a] = append(forward[a], b)
			if state[b] == fresh {
				visit(b)
			}
		}
		state[a] = done
		order = append(order, a)
	}
	for a := range n {
		if state[a] == fresh {
			visit(a)
		}
	}
	column := make([]int, n)
	for _, a := range slices.Backward(order) {
		for _, b := range forward[a] {
			column[b] = max(column[b], column[a]+1)
		}
	}
	return column
}

// order sorts each column by where the neighbours of its cells stand, from left to right and back.
func (l *layout) order() {
	l.number()
	for sweep := range sweeps {
		toRight := sweep%2 == 0
		for i := range l.columns {
			column := l.columns[i]
			if !toRight {
				column = l.columns[len(l.columns)-1-i]
			}
			slices.SortStableFunc(column, func(a, b *cell) int { return cmp.Compare(a.weight(toRight), b.weight(toRight)) })
			for row, c := range column {
				c.y = float64(row)
			}
		}
	}
}

// number makes y the row, until there are places.
func (l *layout) number() {
	for _, column := range l.columns {
		for row, c := range column {
			c.y = float64(row)
		}
	}
}

// weight is the mean row of the neighbours on one side; a cell without any stays where it is.
func (c *cell) weight(left bool) float64 {
	wires := c.out
	if left {
		wires = c.in
	}
	if len(wires) == 0 {
		return c.y
	}
	sum := 0.0
	for _, w := range wires {
		if left {
			sum += w.left.y
		} else {
			sum += w.right.y
		}
	}
	return sum / float64(len(wires))
}

// placeRows stacks the cells of each column and draws them towards their neighbours, keeping order and distance.
func (l *layout) placeRows() {
	for _, column := range l.columns {
		y := 0.0
		for _, c := range column {
			c.y = y
			y += c.height + rowGap
		}
		for _, c := range column {
			c.y -= (y - rowGap) / 2
		}
	}
	for range sweeps {
		for _, column := range l.columns {
			settleColumn(column)
		}
		for _, column := range slices.Backward(l.columns) {
			settleColumn(column)
		}
	}
	least := 0.0
	for _, column := range l.columns {
		least = min(least, column[0].y)
	}
	for _, column := range l.columns {
		for _, c := range column {
			c.y -= least
			l.height = max(l.height, c.y+c.height)
		}
	}
}

// settleColumn moves cells to where they would like to be, as far as the ones above and below let them: halfway between the answers of pushing
// down and of pushing up.
func settleColumn(column []*cell) {
	down, up := make([]float64, len(column)), make([]float64, len(column))
	for i, c := range column {
		down[i] = c.wish()
		if i > 0 {
			down[i] = max(down[i], down[i-1]+column[i-1].height+rowGap)
		}
	}
	for i, c := range slices.Backward(column) {
		up[i] = c.wish()
		if i < len(column)-1 {
			up[i] = min(up[i], up[i+1]-c.height-rowGap)
		}
	}
	for i, c := range column {
		c.y = (down[i] + up[i]) / 2
	}
}

func (c *cell) wish() float64 {
	sum, n := 0.0, 0
	for _, w := range c.in {
		sum, n = sum+w.left.middle(), n+1
	}
	for _, w := range c.out {
		sum, n = sum+w.right.middle(), n+1
	}
	if n == 0 {
		return c.y
	}
	return sum/float64(n) - c.height/2
}

// placeColumns leaves room between columns for the labels: that of a wire stands where it arrives.
func (l *layout) placeColumns(g Graph, label func(Edge) float64) {
	x := 0.0
	for i, column := range l.columns {
		widest, leaving, arriving := 0.0, 0.0, 0.0
		for _, c := range column {
			widest = max(widest, c.width)
			for _, w := range c.out {
				text := label(g.Edges[w.edge])
				switch {
				case w.back && c.node >= 0:
					leaving = max(leaving, text)
				case !w.back && w.right.node >= 0:
					arriving = max(arriving, text)
				}
			}
		}
		for _, c := range column {
			c.x = x + (widest-c.width)/2
			if c.node < 0 {
				c.x, c.width = x, widest
			}
		}
		x += widest
		l.width = x
		if i < len(l.columns)-1 {
			x += 64 + leaving + arriving
		}
	}
}

// attach gives each wire an end of its own on the sides of its nodes, in the order in which the others lie.
func (l *layout) attach() {
	for _, column := range l.columns {
		for _, c := range column {
			slices.SortStableFunc(c.in, func(a, b *wire) int { return cmp.Compare(a.left.middle(), b.left.middle()) })
			for i, w := range c.in {
				w.rightY = c.end(i, len(c.in))
			}
			slices.SortStableFunc(c.out, func(a, b *wire) int { return cmp.Compare(a.right.middle(), b.right.middle()) })
			for i, w := range c.out {
				w.leftY = c.end(i, len(c.out))
			}
		}
	}
}

func (c *cell) end(i, n int) float64 { return c.middle() + (float64(i)-float64(n-1)/2)*slot }
