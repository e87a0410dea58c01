// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/providers/ssh"
)

// sshd is Debian's OpenSSH as Debian sets it up, in namespaces of its own: this computer once more, answering on many addresses. Its package is laid over /usr and /etc there, so
// that the computer itself gets no service. It ends with its standard input, and thus with this process, whatever ends that; with its first process go its others, its
// mounts and its link.
type sshd struct {
	addresses []string
	known     string // lines of known_hosts
	cmd       *exec.Cmd
	stdin     io.Closer
}

const (
	// The addresses are of a network for benchmarks (RFC 2544).
	network  = "198.18.77."
	hostLink = "ekbench0"
	farLink  = "ekbench1"
)

// serveSSH starts one that lets root in with a key.
func serveSSH(ctx context.Context, dir, authorized string, count int) (_ *sshd, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("a network between two namespaces takes root's rights: run it by sudo")
	}
	tree, err := unpackSSH(ctx, dir)
	if err != nil {
		return nil, err
	}
	s := &sshd{}
	private, public, err := ssh.GenerateKey("bench")
	if err != nil {
		return nil, err
	}
	for i := range count {
		s.addresses = append(s.addresses, fmt.Sprint(network, i+1))
		s.known += s.addresses[i] + " " + strings.TrimSpace(string(public)) + "\n"
	}
	config := filepath.Join(dir, "sshd_config")
	files := map[string]string{
		filepath.Join(dir, "host_key"): string(private), filepath.Join(dir, "authorized_keys"): authorized,
		// MaxStartups, since each address stands for a machine that has its own.
		config: fmt.Sprintf("HostKey %[1]s/host_key\nAuthorizedKeysFile %[1]s/authorized_keys\nStrictModes no\nMaxStartups 1000\nPidFile none\nInclude /usr/share/openssh/sshd_config\n", dir),
		filepath.Join(dir, "begin"): fmt.Sprintf(`set -eu
mount -t proc proc /proc
mount -t overlay -o lowerdir=%[1]s/usr:/usr bench /usr
mount -t overlay -o lowerdir=%[1]s/etc:/etc bench /etc
mount -t tmpfs bench /run
mount -t tmpfs -o mode=0700 bench /root # what a shell of this computer does at its start is no part of it
mkdir /run/sshd
read -r line
ip link set lo up
ip link set %[2]s up
for n in $(seq %[4]d); do ip address add %[3]s$n/24 dev %[2]s; done
/usr/sbin/sshd -D -f %[5]s &
echo begun
while read -r line; do :; done
`, tree, farLink, network, count, config),
	}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return s, s.start(ctx, dir)
}

func (s *sshd) start(ctx context.Context, dir string) (err error) {
	log, err := os.Create(filepath.Join(dir, "sshd.log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // it has its own
	s.cmd = exec.Command("sh", filepath.Join(dir, "begin"))
	s.cmd.Stderr = log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:    true, // an interrupt of ours does not end it before those that use it
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET, Unshareflags: syscall.CLONE_NEWNS,
	}
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("cannot make namespaces: %w", err)
	}
	s.stdin = stdin
	defer func() {
		if err != nil {
			s.close()
			said, _ := os.ReadFile(log.Name())
			err = fmt.Errorf("cannot start OpenSSH: %w: %s", err, said)
		}
	}()
	for _, args := range [][]string{
		{"link", "add", "name", hostLink, "type", "veth", "peer", "name", farLink, "netns", fmt.Sprint(s.cmd.Process.Pid)},
		{"address", "add", network + "254/24", "dev", hostLink},
		{"link", "set", hostLink, "up"},
	} {
		if _, err := timed(ctx, dir, nil, "ip", args...); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(stdin, "\n"); err != nil {
		return err
	}
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		return err
	}
	for _, address := range s.addresses {
		if err := awaitAddress(ctx, address); err != nil {
			return err
		}
	}
	return nil
}

// awaitAddress waits until sshd answers there.
func awaitAddress(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address+":22")
		if err == nil {
			_, err = io.ReadFull(conn, make([]byte, len("SSH-2.0")))
			_ = conn.Close() // nothing was said
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *sshd) close() {
	_ = s.stdin.Close()
	killed := time.AfterFunc(5*time.Second, func() { _ = s.cmd.Process.Kill() }) // it ends with its input
	defer killed.Stop()
	_ = s.cmd.Wait()
}

// unpackSSH lays what the server needs, and is not installed here, into a tree. Where all is installed the tree holds but what makes it a server of its own.
func unpackSSH(ctx context.Context, dir string) (string, error) {
	tree, packages := filepath.Join(dir, "tree"), filepath.Join(dir, "packages")
	for _, d := range []string{filepath.Join(tree, "usr"), filepath.Join(tree, "etc"), filepath.Join(packages, "partial")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return "", err
		}
	}
	if _, err := timed(ctx, dir, []string{"DEBIAN_FRONTEND=noninteractive"}, "apt-get", "install", "-y", "-q", "--no-install-recommends", "--download-only",
		"-o", "Dir::Cache::archives="+packages, "openssh-server"); err != nil {
		return "", err
	}
	list, err := filepath.Glob(filepath.Join(packages, "*.deb"))
	if err != nil {
		return "", err
	}
	for _, p := range list {
		if _, err := timed(ctx, dir, nil, "dpkg-deb", "-x", p, tree); err != nil {
			return "", err
		}
	}
	if _, err := os.Stat(filepath.Join(tree, "lib")); err == nil { // it is the same folder as usr/lib on a system of today
		if _, err := timed(ctx, tree, nil, "cp", "-a", "lib/.", "usr/lib/"); err != nil {
			return "", err
		}
	}
	accounts, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return "", err
	}
	if !strings.Contains("\n"+string(accounts), "\nsshd:") {
		accounts = append(accounts, "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"...)
	}
	return tree, os.WriteFile(filepath.Join(tree, "etc", "passwd"), accounts, 0o644)
}
