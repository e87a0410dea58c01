// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bootWork is what process 1 needs to make its namespaces a machine.
type bootWork struct {
	Folder  string      `json:"folder"`
	Name    string      `json:"name"`
	Address string      `json:"address"`
	HTTP    []int       `json:"http,omitempty"`
	Data    []mountWork `json:"data,omitempty"`
}

// mountWork is a data disk to be mounted.
type mountWork struct {
	Name   string `json:"name"`
	Source string `json:"source"`
	Target string `json:"target"`
}

// runInit is the whole of process 1 of a machine. When it ends, the kernel ends every other process in there.
func runInit() error {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	first := &first{}
	return serveGate(first.boot, first.signal)
}

// first is process 1. It is not stopped with the others, so that it notices the end of the machine's process; it only serves nothing meanwhile.
type first struct {
	mu      sync.Mutex
	stopped bool
	serving sync.RWMutex
}

// signal sends s, SIGSTOP or SIGCONT, to every other process of the machine, all at the same moment: no fork slips through.
func (f *first) signal(s syscall.Signal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if stop := s == syscall.SIGSTOP; stop != f.stopped {
		f.stopped = stop
		if stop {
			f.serving.Lock()
		} else {
			defer f.serving.Unlock()
		}
	}
	err := syscall.Kill(-1, s)
	if errors.Is(err, syscall.ESRCH) { // there is no other
		return nil
	}
	return err
}

// boot configures the network, gives the machine its own view of the file system and loads its firewall.
func (f *first) boot(w bootWork) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	fmt.Printf("%s: starting\n", w.Name)
	links := "link set lo up\naddr add " + w.Address + "/24 dev eth0\nlink set eth0 up\nroute add default via " + gateway + "\n"
	if err := run(ctx, links, "ip", "-batch", "-"); err != nil {
		return err
	}
	if err := enterRoot(w.Folder, w.Data); err != nil {
		return fmt.Errorf("cannot mount the machine's file systems: %w", err)
	}
	name, err := os.ReadFile("/etc/hostname") // the seed's, which need not be the name in the place
	if err != nil {
		return fmt.Errorf("cannot read host name: %w", err)
	}
	if err := unix.Sethostname(bytes.TrimSpace(name)); err != nil {
		return fmt.Errorf("cannot set host name: %w", err)
	}
	if err := run(ctx, "", "nft", "-f", "/etc/nftables.conf"); err != nil {
		return err
	}
	for _, port := range w.HTTP {
		if err := f.serveName(w.Name, port); err != nil {
			return err
		}
	}
	signal.Ignore(syscall.SIGCHLD) // from here on the kernel collects orphans by itself: nothing of ours is waited for any more
	fmt.Printf("%s: up at %s\n", w.Name, w.Address)
	return nil
}

// serveName answers GET with the machine's name until the machine ends.
func (f *first) serveName(name string, port int) error {
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.serving.RLock()
		defer f.serving.RUnlock()
		fmt.Printf("%s: %s %q\n", name, r.Method, r.URL.Path)
		_, _ = fmt.Fprintln(w, name)
	})}
	go func() { _ = server.Serve(l) }() // ends with the process: the machine
	return nil
}

// enterRoot makes folder's root the root of this mount namespace: the machine's own disk, with the host's programs read-only under /usr.
func enterRoot(folder string, data []mountWork) error {
	root := rootOf(folder)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	m := mounts{root: root}
	m.bind(root, "")
	m.usr(shimsOf(folder))
	m.bindReadOnly("/etc/alternatives", "etc/alternatives")
	m.mount("proc", "proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	m.bindReadOnly(meminfoFile(folder), "proc/meminfo")
	m.mount("tmpfs", "run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755")
	m.dev()
	for _, d := range data {
		m.mkdir(staged(d))
		m.bind(d.Source, staged(d))
	}
	if m.err != nil {
		return m.err
	}
	if err := unix.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the host's file system: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	// Only in here do the links of the machine's disk lead where the machine means them to.
	m = mounts{root: "/"}
	for _, d := range data {
		m.mkdir(d.Target)
		m.do("data disk "+d.Name, d.Target, func() error { return unix.Mount("/"+staged(d), d.Target, "", unix.MS_MOVE, "") })
	}
	return m.err
}

func staged(d mountWork) string { return "run/data/" + d.Name }

// mounts mounts below root until something fails.
type mounts struct {
	root string
	err  error
}

func (m *mounts) do(what, target string, deed func() error) {
	if m.err == nil {
		if err := deed(); err != nil {
			m.err = fmt.Errorf("%s at /%s: %w", what, target, err)
		}
	}
}

func (m *mounts) at(target string) string { return filepath.Join(m.root, target) }

func (m *mounts) mount(source, target, kind string, flags uintptr, data string) {
	m.do(kind, target, func() error { return unix.Mount(source, m.at(target), kind, flags, data) })
}

func (m *mounts) bind(source, target string) {
	m.do(source, target, func() error { return unix.Mount(source, m.at(target), "", unix.MS_BIND|unix.MS_REC, "") })
}

func (m *mounts) bindReadOnly(source, target string) {
	m.bind(source, target)
	m.do("read-only "+source, target, func() error {
		var s unix.Statfs_t
		if err := unix.Statfs(m.at(target), &s); err != nil {
			return err
		}
		// Flags that a mount got outside a user namespace cannot be taken away inside it. Those of statfs(2) have mount(2)'s values.
		const kept = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME
		flags := uintptr(s.Flags)&kept | unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY
		if s.Flags&unix.ST_RELATIME != 0 {
			flags |= unix.MS_RELATIME
		}
		return unix.Mount("", m.at(target), "", flags, "")
	})
}

func (m *mounts) link(old, target string) {
	m.do("link", target, func() error {
		err := os.Symlink(old, m.at(target))
		if errors.Is(err, os.ErrExist) {
			return nil
		}
		return err
	})
}

func (m *mounts) mkdir(target string) {
	m.do("directory", target, func() error { return os.MkdirAll(m.at(target), 0o755) })
}

// usr shows the host's /usr, with bin and sbin as folders of links, so that the shims can stand in front.
func (m *mounts) usr(shims string) {
	m.mount("tmpfs", "usr", "tmpfs", unix.MS_NODEV, "mode=755")
	m.mkdir("usr/.shims")
	m.bindReadOnly(shims, "usr/.shims")
	entries, err := os.ReadDir("/usr")
	m.do("read", "usr", func() error { return err })
	for _, e := range entries {
		switch name := e.Name(); {
		case name == "bin" || name == "sbin":
			m.mkdir("usr/" + name)
			m.mkdir("usr/." + name)
			m.bindReadOnly("/usr/"+name, "usr/."+name)
			m.farm(name, "/usr/"+name, shims)
		case e.IsDir():
			m.mkdir("usr/" + name)
			m.bindReadOnly("/usr/"+name, "usr/"+name)
		case e.Type() == os.ModeSymlink:
			old, err := os.Readlink("/usr/" + name)
			m.do("read link", "usr/"+name, func() error { return err })
			m.link(old, "usr/"+name)
		}
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"} {
		if old, err := os.Readlink("/" + name); err == nil {
			m.link(strings.TrimPrefix(old, "/"), name)
		} else if _, err := os.Stat("/" + name); err == nil { // a host whose /usr is not merged
			m.mkdir(name)
			m.bindReadOnly("/"+name, name)
		}
	}
}

func (m *mounts) farm(name, host, shims string) {
	if name == "bin" {
		own, err := os.ReadDir(shims)
		m.do("read", shims, func() error { return err })
		for _, e := range own {
			m.link("../.shims/"+e.Name(), "usr/bin/"+e.Name())
		}
	}
	entries, err := os.ReadDir(host)
	m.do("read", host, func() error { return err })
	for _, e := range entries {
		m.link("../."+name+"/"+e.Name(), "usr/"+name+"/"+e.Name())
	}
}

func (m *mounts) dev() {
	m.mount("tmpfs", "dev", "tmpfs", unix.MS_NOSUID, "mode=755")
	for _, node := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		m.do("file", "dev/"+node, func() error { return os.WriteFile(m.at("dev/"+node), nil, 0o666) })
		m.bind("/dev/"+node, "dev/"+node)
	}
	m.mkdir("dev/pts")
	m.mount("devpts", "dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
	m.mkdir("dev/shm")
	m.mount("tmpfs", "dev/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777")
	for name, old := range map[string]string{"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		m.link(old, "dev/"+name)
	}
}
