// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/evenkeel/evenkeel/providers"
)

func rootOf(folder string) string      { return filepath.Join(folder, "root") }
func consoleFile(folder string) string { return filepath.Join(folder, "console.log") }
func meminfoFile(folder string) string { return filepath.Join(folder, "meminfo") }
func shimsOf(folder string) string     { return filepath.Join(folder, "bin") }

// skeleton is what a machine's own disk holds beside the seed. Programs come from the host's /usr when it boots.
var skeleton = map[string]string{
	"etc/passwd":        "root:x:0:0:root:/root:/bin/bash\nevenkeel:x:1000:1000::/home/evenkeel:/bin/bash\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n",
	"etc/group":         "root:x:0:\nsudo:x:27:evenkeel\nevenkeel:x:1000:\nnogroup:x:65534:\n",
	"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
	"etc/os-release":    "PRETTY_NAME=\"a fake machine\"\nNAME=\"fake\"\nID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n",
	"etc/nftables.conf": nftables,
	"etc/protocols":     "icmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\nipv6-icmp 58 IPv6-ICMP\n",
	"var/log/systemctl": "",
}

// nftables is default-deny, as every image's is.
const nftables = `#!/usr/sbin/nft -f
table inet evenkeel
delete table inet evenkeel
table inet evenkeel {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		ct state invalid drop
		iif lo accept
		meta l4proto { icmp, ipv6-icmp } accept
		udp sport 67 udp dport 68 accept
		tcp dport 22 accept
	}
}
include "/etc/evenkeel/nft/*.nft"
`

var folders = []string{"dev", "etc/ssh", "etc/evenkeel/nft", "etc/evenkeel/authorized_keys", "etc/alternatives", "home/evenkeel", "opt", "proc", "root", "run",
	"srv", "sys", "tmp", "usr", "var/lib/evenkeel", "var/log", "var/tmp"}

// layDisk makes a machine's folder and its disk with the seed on it.
func layDisk(folder string, spec providers.Spec) error {
	if err := makeClaimable(folder); err != nil {
		return err
	}
	if err := os.Mkdir(rootOf(folder), 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(rootOf(folder))
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range folders {
		if err := root.MkdirAll(f, 0o755); err != nil {
			return err
		}
	}
	for f, content := range skeleton {
		if err := root.WriteFile(f, []byte(content), 0o644); err != nil {
			return err
		}
	}
	seed, err := spec.Seed.Tar(nonce()+nonce()+nonce()+nonce(), nil)
	if err != nil {
		return err
	}
	if err := unpack(root, seed); err != nil {
		return err
	}
	if err := os.WriteFile(meminfoFile(folder), meminfo(spec.Memory), 0o644); err != nil {
		return err
	}
	return writeShims(shimsOf(folder), spec)
}

// unpack lays a tar of plain files over root, out of which no name leads.
func unpack(root *os.Root, archive []byte) error {
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		mode := os.FileMode(h.Mode).Perm()
		if err := root.WriteFile(name, content, mode); err != nil {
			return err
		}
		if err := root.Chmod(name, mode); err != nil {
			return err
		}
	}
}
