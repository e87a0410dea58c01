// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/providers"
)

// machine is the process that stands for one: it has the host's network, so that it can listen on loopback, and our user's namespace of the
// environment, so that it may make and enter the machine's own.
type machine struct {
	world   world
	record  record
	folder  string
	me      proc
	console *os.File
	network proc
	init    proc
	inside  *namespace // process 1
	outside *namespace // in the environment's network
	sshPort int
	ports   forwards
	*stillness
}

// namespace is a process of ours in another namespace, with the gate to it.
type namespace struct {
	gate *gate
	cmd  *exec.Cmd
	gone chan struct{}
}

// runMachine is the whole of a machine's process.
func runMachine(w world, id string) error {
	end, look := untilTold()
	me, err := self()
	if err != nil {
		return err
	}
	env, name, ok := parseID(id)
	if !ok {
		return fmt.Errorf("%q is no machine's ID", id)
	}
	r, err := w.readRecord(env, name)
	if err == nil && r.ID != id {
		err = errors.New("the machine was removed")
	}
	if err != nil {
		return err
	}
	m := &machine{world: w, record: r, folder: w.folder(r), me: me, stillness: newStillness()}
	held, err := claim(m.folder)
	if err != nil {
		return err
	}
	defer held.Close()
	if err := m.report(status{}); err != nil {
		return err
	}
	m.console, err = os.OpenFile(consoleFile(m.folder), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer m.console.Close()
	if err := m.boot(); err != nil {
		m.halt()
		return err
	}
	defer m.halt()
	server, err := m.serveSSH()
	if err != nil {
		return err
	}
	defer server.Close()
	m.ports = forwards{seed: fmt.Sprint(w, " ", env, " ", name), address: m.record.address(), dial: m.fromOutside}
	defer m.ports.work.Wait()
	defer m.ports.close()
	published, err := m.ports.publish(m.record.Publish)
	if err != nil {
		return err
	}
	s := status{Ready: true, Publish: published, Generation: m.record.Generation}
	if err := m.report(s); err != nil {
		return err
	}
	if err := ready(m.console); err != nil {
		return err
	}
	return m.watch(end, look, s)
}

// fromOutside connects from the environment's gateway.
func (m *machine) fromOutside(ctx context.Context, network, address string) (net.Conn, error) {
	if m.suspended.Load() {
		return nil, errors.New("the machine is suspended")
	}
	return m.outside.gate.dial(ctx, network, address)
}

// watch keeps the machine as the record wants it, until it is told to end or has lost what it stands on. s is what was said last.
func (m *machine) watch(end, look <-chan os.Signal, s status) error {
	var thawed <-chan struct{} // while somebody holds the machine still
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-end:
			return nil
		case <-m.inside.gone:
			return errors.New("process 1 ended")
		case <-m.outside.gone:
			return errors.New("the way from outside ended")
		case <-look:
		case <-thawed:
			thawed = nil
		case <-tick.C:
		}
		r, err := m.world.readRecord(m.record.Env, m.record.Name)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && r.ID != m.record.ID:
			return errors.New("the machine was removed")
		case err != nil:
			return err
		case !m.network.alive():
			return errors.New("the environment's network ended")
		}
		if thawed == nil {
			thawed = frozenUntil(m.folder)
		}
		now := s
		if r.Generation != m.record.Generation {
			m.record = r
			now.Generation, now.Failure = r.Generation, nil
			if ports, err := m.ports.publish(r.Publish); err == nil {
				now.Publish = ports
			} else {
				now.Failure = failureOf(err)
			}
		}
		if err := m.rest(&now, thawed != nil); err != nil {
			return err
		}
		if reflect.DeepEqual(now, s) {
			continue
		}
		s = now
		if err := m.report(s); err != nil {
			return err
		}
	}
}

// rest makes the machine still or lets it go on, as the record and whoever freezes it want, and says so in s.
func (m *machine) rest(s *status, frozen bool) error {
	m.suspended.Store(m.record.Suspended)
	deed := m.proceed
	if m.record.Suspended || frozen {
		deed = m.stop
	}
	if err := deed(); err != nil {
		return err // a machine that is neither still nor moves is of no use
	}
	s.Suspended, s.Frozen = m.record.Suspended, ""
	if frozen {
		word, err := os.ReadFile(freezeFile(m.folder))
		if err != nil {
			return err
		}
		s.Frozen = string(word)
	}
	return nil
}

func (m *machine) report(s status) error {
	s.proc, s.Init, s.SSHPort = m.me, m.init, m.sshPort
	return writeJSON(filepath.Join(m.folder, "status.json"), s)
}

// boot makes the machine's namespaces and everything in them.
func (m *machine) boot() error {
	s, running, err := readStatus(m.world.network(m.record.Env))
	if err != nil {
		return err
	}
	if !running {
		return errors.New("the environment's network does not run")
	}
	m.network = s.proc
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	network := strconv.Itoa(m.network.PID)
	m.outside, err = m.inNamespace(exec.Command("nsenter", "-t", network, "-n", "--", exe, roleWord, roleOutside))
	if err != nil {
		return err
	}
	first := exec.Command(exe, roleWord, roleInit)
	first.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC}
	m.inside, err = m.inNamespace(first)
	if err != nil {
		return err
	}
	start, _ := statOf(first.Process.Pid)
	m.init = proc{first.Process.Pid, start}
	if err := m.report(status{}); err != nil { // before it has anything mounted
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	port := "m" + nonce() // a new name each time: the kernel removes the last one's in its own time
	links := fmt.Sprintf("link add %s type veth peer name eth0 address 02:ee:00:00:00:%02x netns %d\nlink set %s master %s up\n",
		port, m.record.Slot, m.inside.cmd.Process.Pid, port, bridge)
	if err := run(ctx, links, "nsenter", "-t", network, "-n", "--", "ip", "-batch", "-"); err != nil {
		return err
	}
	_, err = m.inside.gate.ask(ctx, order{Boot: &bootWork{Folder: m.folder, Name: m.record.Name, Address: m.record.address(), HTTP: m.record.HTTP, Data: m.data()}})
	return err
}

// data are the machine's data disks, where they lie and where it has them. What is mounted below another comes after it.
func (m *machine) data() (list []mountWork) {
	for _, d := range m.record.Data {
		ref := providers.DataRef{Env: m.record.Env, Machine: m.record.Name, Name: d.Name}
		list = append(list, mountWork{Name: d.Name, Source: m.world.content(ref), Target: d.Mount})
	}
	slices.SortStableFunc(list, func(a, b mountWork) int { return strings.Compare(a.Target, b.Target) })
	return list
}

// inNamespace starts cmd with a gate to it; both end with halt.
func (m *machine) inNamespace(cmd *exec.Cmd) (*namespace, error) {
	g, inner, err := newGate()
	if err != nil {
		return nil, err
	}
	defer inner.Close()
	cmd.ExtraFiles, cmd.Stdout, cmd.Stderr, cmd.Env, cmd.Dir = []*os.File{inner}, m.console, m.console, roleEnv(), "/"
	if err := cmd.Start(); err != nil {
		_ = g.conn.Close()
		return nil, err
	}
	n := &namespace{g, cmd, make(chan struct{})}
	go g.receive()
	go func() {
		_ = cmd.Wait()
		close(n.gone)
	}()
	return n, nil
}

// halt ends what boot made and waits for it.
func (m *machine) halt() {
	for _, n := range []*namespace{m.inside, m.outside} {
		if n == nil {
			continue
		}
		_ = n.cmd.Process.Kill()
		_ = n.gate.conn.Close()
		<-n.gone
	}
}
