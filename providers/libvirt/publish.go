// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	lv "libvirt.org/go/libvirt"

	"github.com/evenkeel/evenkeel/providers"
)

// publish brings a machine's published ports to want: in what is kept, and where it runs, in QEMU. On return d holds what is so.
func (p *provider) publish(ctx context.Context, dom *lv.Domain, d *domain, want []providers.Port) error {
	taken, err := p.claimed(ctx, d.uuid)
	if err != nil {
		return err
	}
	// Forwards that QEMU has already are its own: they are neither free nor anybody else's.
	free := func(hp hostPort) error {
		if slices.ContainsFunc(d.record.Ports, func(q port) bool { return q.Host == hp.port && q.Proto == hp.proto }) {
			return nil
		}
		return listening(hp)
	}
	ports, err := choosePorts(d.record.Env, d.record.Name, want, d.record.Ports, taken, free)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r := d.record
	r.Ports = ports
	if running(dom) { // QEMU is asked even where the record is as wanted: a call may have been killed between the two
		if err := forward(dom, ports); err != nil {
			return err
		}
	}
	if slices.Equal(ports, d.record.Ports) {
		return nil
	}
	if err := p.redefine(dom, r); err != nil {
		return err
	}
	if err := p.note(dom, r); err != nil {
		return err
	}
	p.log.Info("published ports", "machine", r.Name, "ports", len(ports))
	d.record = r
	return nil
}

// forward makes a running QEMU forward ports and no others. It begins from what QEMU says it forwards, so that a call that was killed in
// between is made good by the next.
func forward(dom *lv.Domain, ports []port) error {
	text, err := monitor(dom, "info usernet")
	if err != nil {
		return err
	}
	have := forwards(text)
	for _, h := range have {
		if slices.ContainsFunc(ports, h.same) {
			continue
		}
		if _, err := monitor(dom, fmt.Sprintf("hostfwd_remove %s %s:127.0.0.1:%d", outsideID, h.Proto, h.Host)); err != nil {
			return err
		}
	}
	for _, w := range ports {
		if slices.ContainsFunc(have, w.same) {
			continue
		}
		said, err := monitor(dom, "hostfwd_add "+outsideID+" "+w.rule())
		if err != nil {
			return err
		}
		if said = strings.TrimSpace(said); said != "" { // QEMU says nothing where all is well
			return &coded{providers.Conflict, fmt.Errorf("loopback port %d/%s: %s", w.Host, w.Proto, said), "stop what listens there (ss -lntup), or pin another port under publish:"}
		}
	}
	return nil
}

// monitor gives a command to QEMU's human monitor.
func monitor(dom *lv.Domain, command string) (string, error) {
	said, err := dom.QemuMonitorCommand(command, lv.DOMAIN_QEMU_MONITOR_COMMAND_HMP)
	if err != nil {
		return "", errors.Join(fmt.Errorf("QEMU's monitor, %q", command), err)
	}
	return said, nil
}
