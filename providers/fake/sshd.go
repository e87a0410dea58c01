// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
)

// serveSSH listens where the machine did before, else anywhere, and shows what lies on the machine's disk at the moment of each connection.
func (m *machine) serveSSH() (*sshtest.Server, error) {
	root, err := os.OpenRoot(rootOf(m.folder))
	if err != nil {
		return nil, err
	}
	stranger, err := m.stranger()
	if err != nil {
		return nil, err
	}
	up := time.Now().Add(m.record.Boot)
	config := sshtest.Config{
		HostKeys: func() ([]sshtest.HostKey, error) {
			if stranger != nil {
				return []sshtest.HostKey{*stranger}, nil
			}
			return hostKeys(root)
		},
		Authorized: func(user string) []string { return authorized(root, user) },
		Exec:       m.exec,
		Dial:       m.inside.gate.dial,
		Fault: func() sshtest.Fault {
			switch {
			case m.record.SilentSSH, m.suspended.Load():
				return sshtest.Silent
			case time.Now().Before(up):
				return sshtest.DropMidHandshake
			}
			return sshtest.None
		},
	}
	var server *sshtest.Server
	listen := func(address string) (err error) {
		config.Address = address
		server, err = sshtest.Serve(context.Background(), config)
		return err
	}
	port := m.record.SSHPort
	if port == 0 || listen(fmt.Sprintf("127.0.0.1:%d", port)) != nil {
		if port, err = choose(0, fmt.Sprint(m.world, " ", m.record.Env, " ", m.record.Name, " ssh"), listen); err != nil {
			return nil, err
		}
	}
	m.sshPort = port
	return server, nil
}

func hostKeys(root *os.Root) ([]sshtest.HostKey, error) {
	private, err := root.ReadFile(strings.TrimPrefix(providers.PathHostKey, "/"))
	if err != nil {
		return nil, err
	}
	cert, err := root.ReadFile(strings.TrimPrefix(providers.PathHostCert, "/"))
	if err != nil {
		return nil, err
	}
	return []sshtest.HostKey{{Private: private, Certificate: cert}}, nil
}

// authorized reads the files that every image's sshd reads. A user is who has one.
func authorized(root *os.Root, user string) []string {
	if user == "" || user != path.Base(user) || strings.HasPrefix(user, ".") {
		return nil
	}
	var lines []string
	for _, file := range []string{providers.PathAuthorizedKeys + user, home(user) + "/.ssh/authorized_keys"} {
		if b, err := root.ReadFile(strings.TrimPrefix(file, "/")); err == nil {
			lines = append(lines, strings.Split(string(b), "\n")...)
		}
	}
	return lines
}

// stranger is the host key of a machine that is ordered to have a wrong one, with a certificate of an authority that nobody knows.
func (m *machine) stranger() (*sshtest.HostKey, error) {
	if !m.record.WrongHostKey {
		return nil, nil
	}
	ca, err := ssh.NewHostCA()
	if err != nil {
		return nil, err
	}
	private, public, err := ssh.GenerateKey("")
	if err != nil {
		return nil, err
	}
	cert, err := ca.Sign(public, []string{m.record.Name + "." + m.record.Env}, 0)
	if err != nil {
		return nil, err
	}
	return &sshtest.HostKey{Private: private, Certificate: cert}, nil
}

func home(user string) string {
	if user == "root" {
		return "/root"
	}
	return "/home/" + user
}
