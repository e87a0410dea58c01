// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"context"
	"encoding/xml"
	"fmt"
	"os"
	"strings"
	"time"

	lv "libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/evenkeel/evenkeel/providers"
)

// An environment's private network is a bridge of libvirt's without any address on this computer's side, so nothing else can reach it. Without root
// there is no bridge: a switch stands in, which is a QEMU of libvirt's own whose guest sleeps for ever and whose hub joins sockets in a folder
// only the user may enter. (Sockets on loopback and multicast were turned down: other users reach them.)

// switchPorts is how many machines one switch joins. Each port is two small objects in QEMU.
const switchPorts = 62

// networkRecord is what an environment's own object says of it.
type networkRecord struct {
	XMLName xml.Name `xml:"network"`
	Env     string   `xml:"env,attr"`
	Project string   `xml:"project,attr"`
	Owner   string   `xml:"owner,attr"`
	Made    string   `xml:"made,attr"`
	Sockets string   `xml:"sockets,attr,omitempty"`
}

func (r networkRecord) metadata() (string, error) {
	var b strings.Builder
	start := xml.StartElement{
		Name: xml.Name{Local: "evenkeel:network"},
		Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns:evenkeel"}, Value: namespace}},
	}
	err := xml.NewEncoder(&b).EncodeElement(r, start)
	return b.String(), err
}

func parseNetworkRecord(text string) (networkRecord, bool, error) {
	var d struct {
		Metadata struct {
			Network []networkRecord `xml:"https://github.com/evenkeel/evenkeel/libvirt/1 network"`
		} `xml:"metadata"`
	}
	if err := xml.Unmarshal([]byte(text), &d); err != nil {
		return networkRecord{}, false, err
	}
	if len(d.Metadata.Network) != 1 {
		return networkRecord{}, false, nil
	}
	return d.Metadata.Network[0], true, nil
}

// planWire says how the environment's machines will be joined, without making anything.
func (p *provider) planWire(env string) (wire, error) {
	if !p.config.session() {
		return wire{network: envName(env)}, nil
	}
	r, ok, err := p.findSwitch(env)
	if err != nil {
		return wire{}, err
	}
	if ok {
		return wire{sockets: r.Sockets}, nil
	}
	dir, err := socketDir(env)
	return wire{sockets: dir}, err
}

// ensureWire makes the environment's network, or finds and starts it. Two at once define the same thing twice.
func (p *provider) ensureWire(ctx context.Context, env string, labels providers.Labels, w wire) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := networkRecord{
		Env: env, Project: labels[providers.LabelProject], Owner: labels[providers.LabelOwner],
		Made: time.Now().UTC().Format(time.RFC3339), Sockets: w.sockets,
	}
	var err error
	if w.network != "" {
		err = p.ensureBridge(r)
	} else {
		err = p.ensureSwitch(r)
	}
	if err != nil {
		return fmt.Errorf("private network: %w", err)
	}
	return nil
}

// wireStands reports whether the environment's network is there and works.
func (p *provider) wireStands(env string, w wire) (bool, error) {
	if w.network == "" {
		d, err := p.conn.LookupDomainByName(envName(env))
		if is(err, lv.ERR_NO_DOMAIN) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		defer func() { _ = d.Free() }() // only a reference count
		active, err := d.IsActive()
		_, lost := os.Stat(w.sockets) // what may be wrong with the folder, ensureWire says
		return active && lost == nil, err
	}
	n, err := p.conn.LookupNetworkByName(w.network)
	if is(err, lv.ERR_NO_NETWORK) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = n.Free() }() // only a reference count
	return n.IsActive()
}

func (p *provider) ensureBridge(r networkRecord) error {
	n, err := p.conn.LookupNetworkByName(envName(r.Env))
	if is(err, lv.ERR_NO_NETWORK) {
		n, err = p.defineBridge(r)
	}
	if err != nil {
		return err
	}
	defer func() { _ = n.Free() }() // only a reference count
	if active, err := n.IsActive(); err != nil || active {
		return err
	}
	err = n.Create()
	if active, e := n.IsActive(); e == nil && active {
		return nil // by another process
	}
	return err
}

func (p *provider) defineBridge(r networkRecord) (*lv.Network, error) {
	metadata, err := r.metadata()
	if err != nil {
		return nil, err
	}
	text, err := (&libvirtxml.Network{
		Name: envName(r.Env), UUID: uuidOf("network", r.Env),
		Metadata: &libvirtxml.NetworkMetadata{XML: metadata},
		Bridge:   &libvirtxml.NetworkBridge{Name: bridgeName(r.Env), STP: "off", Delay: "0"},
	}).Marshal()
	if err != nil {
		return nil, err
	}
	return p.conn.NetworkDefineXML(text)
}

// removeWire removes the environment's network. Absent is success. Of two at once one may fail where the other is quicker, and then finds
// nothing left.
func (p *provider) removeWire(ctx context.Context, env string) (err error) {
	const tries = 5
	for range tries {
		if p.config.session() {
			err = p.removeSwitch(env)
		} else {
			err = p.removeBridge(env)
		}
		if err == nil || pause(ctx) != nil {
			return err
		}
	}
	return err
}

func (p *provider) removeBridge(env string) error {
	n, err := p.conn.LookupNetworkByName(envName(env))
	if is(err, lv.ERR_NO_NETWORK) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = n.Free() }() // only a reference count
	if err := n.Destroy(); err != nil && !is(err, lv.ERR_OPERATION_INVALID, lv.ERR_NO_NETWORK) {
		return err
	}
	if err := n.Undefine(); err != nil && !is(err, lv.ERR_NO_NETWORK) {
		return err
	}
	return nil
}
