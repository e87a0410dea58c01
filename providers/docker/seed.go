// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
)

// seeded is the image's sign that its seed was laid: no disk is waited for.
const seeded = "var/lib/evenkeel/seeded"

// seed renders what is laid into the machine's container before its first start. The daemon gives it its host name, /etc/hosts and /etc/resolv.conf, and
// its network: networkd is told what that is, so that it has nothing to change and knows when the machine is online.
func (g guest) seed() ([]byte, error) {
	s := g.spec.Seed
	s.Data = nil // mounted before anything starts
	plain, err := s.Tar(machineID(), nil)
	if err != nil {
		return nil, err
	}
	sub, err := subnet(g.network)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	write := func(h *tar.Header, content []byte) error {
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err := w.Write(content)
		return err
	}
	for r := tar.NewReader(bytes.NewReader(plain)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if h.Name == "etc/hostname" || h.Name == "etc/hosts" {
			continue
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		if err := write(h, content); err != nil {
			return nil, err
		}
	}
	link := "[Match]\nName=eth0\n\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nKeepConfiguration=yes\n" +
		"Address=" + g.address + "/24\nGateway=" + addressOf(sub, 1).String() + "\n"
	for _, f := range []struct{ name, content string }{{"etc/systemd/network/10-evenkeel-0.network", link}, {seeded, ""}} {
		h := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.content)), Typeflag: tar.TypeReg, Uname: "root", Gname: "root"}
		if err := write(h, []byte(f.content)); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// machineID is one of machine-id(5).
func machineID() string { return nonce() + nonce() + nonce() + nonce() }
