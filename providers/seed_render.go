// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
)

// maxUserData is EC2's limit for user-data, the smallest of the clouds'.
const maxUserData = 16 << 10

var hexID = lazyregexp.New(`^[0-9a-f]{32}$`)

// seedFile is one file of the seed; both renderings come from the same list.
type seedFile struct {
	path    string
	mode    int64
	content string
}

func (s Seed) files() []seedFile {
	files := []seedFile{
		{"/etc/hostname", 0o644, s.Hostname + "\n"},
		{"/etc/hosts", 0o644, "127.0.0.1 localhost\n127.0.1.1 " + s.Hostname + "\n::1 localhost ip6-localhost ip6-loopback\n"},
		{PathHostKey, 0o600, string(s.HostKey)},
		{PathHostCert, 0o644, string(s.HostCertificate)},
		{PathAuthorizedKeys + s.User, 0o644, strings.Join(s.AuthorizedKeys, "\n") + "\n"},
	}
	if data := dataFile(s.Data); data != "" {
		files = append(files, seedFile{PathData, 0o644, data})
	}
	return files
}

// Tar renders the seed as an uncompressed tar of files to lay over / before the network and sshd start, with networkd files for
// nics and the machine id (32 hex digits, or "" to leave it to the machine). Owners are root, times zero. Deterministic. A place that configures
// the network itself passes no nics, and neither networkd files nor resolv.conf are in the tar.
func (s Seed) Tar(machineID string, nics []NIC) ([]byte, error) {
	files := s.files()
	if machineID != "" {
		if !hexID.MatchString(machineID) {
			return nil, fmt.Errorf("cannot render seed: machine id %q is not 32 hex digits", machineID)
		}
		files = append(files, seedFile{"/etc/machine-id", 0o444, machineID + "\n"})
	}
	var dns []string
	for i, n := range nics {
		files = append(files, seedFile{fmt.Sprintf("/etc/systemd/network/10-evenkeel-%d.network", i), 0o644, n.networkd()})
		dns = append(dns, n.DNS...)
	}
	if len(dns) > 0 {
		files = append(files, seedFile{"/etc/resolv.conf", 0o644, "nameserver " + strings.Join(dns, "\nnameserver ") + "\n"})
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		h := &tar.Header{Name: strings.TrimPrefix(f.path, "/"), Mode: f.mode, Size: int64(len(f.content)), Typeflag: tar.TypeReg, Uname: "root", Gname: "root"}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("cannot render seed: %w", err)
		}
		if _, err := w.Write([]byte(f.content)); err != nil {
			return nil, fmt.Errorf("cannot render seed: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("cannot render seed: %w", err)
	}
	return buf.Bytes(), nil
}

func (n NIC) networkd() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[Match]\nMACAddress=%s\n\n[Network]\n", n.MAC)
	if n.DHCP {
		b.WriteString("DHCP=ipv4\n")
	} else {
		// Nothing announces IPv6 on the networks we make, and waiting for it delays "online".
		b.WriteString("LinkLocalAddressing=no\nIPv6AcceptRA=no\n")
	}
	if n.Address != "" {
		fmt.Fprintf(&b, "Address=%s\n", n.Address)
	}
	if n.Gateway != "" {
		fmt.Fprintf(&b, "Gateway=%s\n", n.Gateway)
	}
	for _, d := range n.DNS {
		fmt.Fprintf(&b, "DNS=%s\n", d)
	}
	return b.String()
}

// UserData renders the seed as cloud-config of at most 16 KiB. It is JSON, which is YAML too, so no value needs quoting rules of its own.
func (s Seed) UserData() ([]byte, error) {
	type writeFile struct {
		Path        string `json:"path"`
		Permissions string `json:"permissions"`
		Content     string `json:"content"`
	}
	config := struct {
		Hostname    string      `json:"hostname"`
		PreserveFQ  bool        `json:"prefer_fqdn_over_hostname"`
		ManageHosts bool        `json:"manage_etc_hosts"`
		DeleteKeys  bool        `json:"ssh_deletekeys"`
		KeyTypes    []string    `json:"ssh_genkeytypes"`
		PasswordSSH bool        `json:"ssh_pwauth"`
		Users       []string    `json:"users"`
		Files       []writeFile `json:"write_files"`
	}{Hostname: s.Hostname, KeyTypes: []string{}, Users: []string{}}
	for _, f := range s.files() {
		config.Files = append(config.Files, writeFile{f.path, fmt.Sprintf("%04o", f.mode), f.content})
	}
	body, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("cannot render user-data: %w", err)
	}
	data := append([]byte("#cloud-config\n"), append(body, '\n')...)
	if len(data) > maxUserData {
		return nil, fmt.Errorf("cannot render user-data: it has %d bytes, at most %d are allowed; fewer authorized keys make it smaller", len(data), maxUserData)
	}
	return data, nil
}

// NetworkConfig renders nics as cloud-init's network configuration, version 2. It uses gateway4, since the cloud-init of Debian 12 (22.4)
// fails on a route "to: default".
func NetworkConfig(nics []NIC) ([]byte, error) {
	type match struct {
		MAC string `json:"macaddress"`
	}
	type servers struct {
		Addresses []string `json:"addresses"`
	}
	type ethernet struct {
		Match     match    `json:"match"`
		DHCP4     bool     `json:"dhcp4"`
		Addresses []string `json:"addresses,omitempty"`
		Gateway   string   `json:"gateway4,omitempty"`
		DNS       *servers `json:"nameservers,omitempty"`
	}
	config := struct {
		Version   int                 `json:"version"`
		Ethernets map[string]ethernet `json:"ethernets"`
	}{2, map[string]ethernet{}}
	for i, n := range nics {
		e := ethernet{Match: match{n.MAC}, DHCP4: n.DHCP, Gateway: n.Gateway}
		if n.Address != "" {
			e.Addresses = []string{n.Address}
		}
		if len(n.DNS) > 0 {
			e.DNS = &servers{n.DNS}
		}
		config.Ethernets[fmt.Sprintf("nic%d", i)] = e
	}
	body, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("cannot render network configuration: %w", err)
	}
	return append(body, '\n'), nil
}
