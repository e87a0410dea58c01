// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"context"
	mathrand "math/rand/v2"

	lv "libvirt.org/go/libvirt"

	"github.com/evenkeel/evenkeel/providers"
)

// claim defines the domain under an address nobody else has. The name is libvirt's to keep unique: of two at once, one gets errTaken. The
// address is not, so after it was written down everybody looks again, and whoever sees it twice chooses another: of two that chose one
// address at least the later one does.
func (p *provider) claim(ctx context.Context, g *guest) (dom *lv.Domain, err error) {
	defer func() {
		if err != nil && dom != nil {
			_ = dom.Undefine() // nothing else was made
			_ = dom.Free()     // only a reference count
			dom = nil
		}
	}()
	for try := 0; ; try++ {
		if err := ctx.Err(); err != nil {
			return dom, err
		}
		others, err := p.domains(ctx, g.spec.Env)
		if err != nil {
			return dom, err
		}
		if dom != nil && !slotTaken(others, g.uuid, g.record.Slot) {
			return dom, nil
		}
		if g.record.Slot, err = chooseSlot(others, g.uuid, p.slots(), try); err != nil {
			return dom, err
		}
		g.record.Address = addressOf(p.config.subnet, g.record.Slot).String()
		taken, err := p.claimed(ctx, g.uuid)
		if err != nil {
			return dom, err
		}
		if g.record.Ports, err = choosePorts(g.spec.Env, g.spec.Name, g.spec.Publish, g.record.Ports, taken, listening); err != nil {
			return dom, err
		}
		text, err := g.define()
		if err != nil {
			return dom, err
		}
		d, err := p.conn.DomainDefineXML(text)
		if dom == nil && is(err, lv.ERR_OPERATION_FAILED, lv.ERR_DOM_EXIST) {
			if there, e := p.find(g.spec.Env, g.spec.Name); e == nil && there != nil {
				return nil, errTaken
			}
		}
		if err != nil {
			return dom, err
		}
		if dom != nil {
			_ = dom.Free() // the same domain
		}
		dom = d
	}
}

func (p *provider) slots() int {
	n := slots(p.config.subnet)
	if p.config.session() {
		n = min(n, switchPorts)
	}
	return n
}

func slotTaken(others []domain, uuid string, slot int) bool {
	for _, o := range others {
		if o.uuid != uuid && o.record.Slot == slot {
			return true
		}
	}
	return false
}

// chooseSlot takes the lowest free one, or after a clash any, so that two do not clash for ever.
func chooseSlot(others []domain, uuid string, n, try int) (int, error) {
	var free []int
	for s := 1; s <= n; s++ {
		if !slotTaken(others, uuid, s) {
			free = append(free, s)
		}
	}
	switch {
	case len(free) == 0:
		return 0, fail(providers.Exhausted, "all %d addresses of the private network are in use", n)
	case try == 0:
		return free[0], nil
	}
	return free[mathrand.IntN(len(free))], nil
}
