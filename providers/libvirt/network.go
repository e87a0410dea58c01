// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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

// removeWire removes the environment's network. Absent is success.
func (p *provider) removeWire(env string) error {
	if p.config.session() {
		return p.removeSwitch(env)
	}
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

// socketDir is short: a socket's path has room for 107 bytes (unix(7)).
func socketDir(env string) (string, error) {
	base, err := userDir("XDG_RUNTIME_DIR", ".cache/evenkeel/run")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(env))
	dir := filepath.Join(base, "evenkeel", hex.EncodeToString(sum[:6]))
	if len(guestSocket(dir, switchPorts)) > 107 || strings.ContainsAny(dir, ",\n") {
		return "", fail(providers.Invalid, "folder %s is too long for sockets, or holds a comma: set XDG_RUNTIME_DIR to a shorter one", dir)
	}
	return dir, nil
}

func guestSocket(dir string, slot int) string  { return fmt.Sprintf("%s/g%d", dir, slot) }
func switchSocket(dir string, slot int) string { return fmt.Sprintf("%s/s%d", dir, slot) }

func dgram(id, local, remote string) string {
	return "dgram,id=" + id + ",local.type=unix,local.path=" + local + ",remote.type=unix,remote.path=" + remote
}

func (p *provider) findSwitch(env string) (networkRecord, bool, error) {
	d, err := p.conn.LookupDomainByName(envName(env))
	if is(err, lv.ERR_NO_DOMAIN) {
		return networkRecord{}, false, nil
	}
	if err != nil {
		return networkRecord{}, false, err
	}
	defer func() { _ = d.Free() }() // only a reference count
	text, err := d.GetXMLDesc(lv.DOMAIN_XML_INACTIVE)
	if is(err, lv.ERR_NO_DOMAIN) {
		return networkRecord{}, false, nil
	}
	if err != nil {
		return networkRecord{}, false, err
	}
	return parseNetworkRecord(text)
}

func (p *provider) ensureSwitch(r networkRecord) error {
	if err := os.MkdirAll(r.Sockets, 0o700); err != nil {
		return err
	}
	d, err := p.conn.LookupDomainByName(envName(r.Env))
	if is(err, lv.ERR_NO_DOMAIN) {
		d, err = p.defineSwitch(r)
	}
	if err != nil {
		return err
	}
	defer func() { _ = d.Free() }() // only a reference count
	if active, err := d.IsActive(); err != nil || active {
		return err
	}
	err = d.Create()
	if active, e := d.IsActive(); e == nil && active {
		return nil // by another process
	}
	return err
}

func (p *provider) defineSwitch(r networkRecord) (*lv.Domain, error) {
	text, err := switchXML(r)
	if err != nil {
		return nil, err
	}
	return p.conn.DomainDefineXML(text)
}

// switchXML is a QEMU with nothing to boot: the firmware halts the processor and waits. It has to run, since a stopped QEMU passes no frames.
func switchXML(r networkRecord) (string, error) {
	metadata, err := r.metadata()
	if err != nil {
		return "", err
	}
	var args []string
	for i := 1; i <= switchPorts; i++ {
		args = append(args,
			"-netdev", dgram(fmt.Sprintf("p%d", i), switchSocket(r.Sockets, i), guestSocket(r.Sockets, i)),
			"-netdev", fmt.Sprintf("hubport,id=h%d,hubid=1,netdev=p%d", i, i))
	}
	return (&libvirtxml.Domain{
		Type: "qemu", Name: envName(r.Env), UUID: uuidOf("switch", r.Env),
		Metadata:   &libvirtxml.DomainMetadata{XML: metadata},
		Memory:     &libvirtxml.DomainMemory{Value: 16, Unit: "MiB"},
		VCPU:       &libvirtxml.DomainVCPU{Value: 1},
		CPU:        emulatedCPU(),
		OS:         &libvirtxml.DomainOS{Type: &libvirtxml.DomainOSType{Arch: "x86_64", Machine: "pc", Type: "hvm"}},
		Features:   &libvirtxml.DomainFeatureList{ACPI: &libvirtxml.DomainFeature{}},
		OnPoweroff: "destroy", OnReboot: "restart", OnCrash: "restart",
		Devices: &libvirtxml.DomainDeviceList{
			Controllers: []libvirtxml.DomainController{{Type: "usb", Model: "none"}},
			MemBalloon:  &libvirtxml.DomainMemBalloon{Model: "none"},
		},
		QEMUCommandline: qemuArgs(args),
	}).Marshal()
}

func (p *provider) removeSwitch(env string) error {
	r, ok, err := p.findSwitch(env)
	if err != nil {
		return err
	}
	dir := r.Sockets
	if !ok {
		if dir, err = socketDir(env); err != nil {
			return nil // then there is nothing in it
		}
	}
	d, err := p.conn.LookupDomainByName(envName(env))
	if err == nil {
		defer func() { _ = d.Free() }() // only a reference count
		if err := d.Destroy(); err != nil && !is(err, lv.ERR_OPERATION_INVALID, lv.ERR_NO_DOMAIN) {
			return err
		}
		err = d.Undefine()
	}
	if err != nil && !is(err, lv.ERR_NO_DOMAIN) {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	// The folder of all environments goes with the last of them.
	if err := os.Remove(filepath.Dir(dir)); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return err
	}
	return nil
}
