// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	lv "libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/evenkeel/evenkeel/providers"
)

// socketDir is short: a socket's path has room for 107 bytes (unix(7)).
func socketDir(env string) (string, error) {
	base, err := userDir("XDG_RUNTIME_DIR", ".cache/evenkeel/run")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "evenkeel", socketsOf(env))
	if len(guestSocket(dir, switchPorts)) > 107 || strings.ContainsAny(dir, ",\n") {
		return "", fail(providers.Invalid, "folder %s is too long for sockets, or holds a comma: set XDG_RUNTIME_DIR to a shorter one", dir)
	}
	return dir, nil
}

// socketsOf names the environment's folder of sockets.
func socketsOf(env string) string {
	sum := sha256.Sum256([]byte(env))
	return hex.EncodeToString(sum[:6])
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
	if !ok || filepath.Base(dir) != socketsOf(env) { // what somebody changed the record to is not ours to remove
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
