// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stillness is how a machine's process makes everything in the machine stop where it is, and go on.
type stillness struct {
	turn      chan struct{} // room for one: who starts a command has it meanwhile, and the machine for as long as it is still
	still     bool
	suspended atomic.Bool // nothing answers from outside
	mu        sync.Mutex
	entered   map[*os.Process]bool // nsenter of the commands that run
}

func newStillness() *stillness {
	return &stillness{turn: make(chan struct{}, 1), entered: map[*os.Process]bool{}}
}

// start runs f, which starts a command through nsenter, once the machine moves. ended must be called when the command has ended.
func (s *stillness) start(ctx context.Context, f func() (*os.Process, error)) (ended func(), err error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.turn }()
	p, err := f()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entered[p] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.entered, p)
	}, nil
}

// stop stops every process of the machine but process 1, which is ours, all at the same moment.
func (m *machine) stop() error {
	if m.still {
		return nil
	}
	m.turn <- struct{}{}
	// nsenter stops itself when it sees its child stopped, and would not go on with it. One that is stopped before sees nothing.
	for _, p := range m.signalEntered(syscall.SIGSTOP) {
		for deadline := time.Now().Add(5 * time.Second); !stoppedOrGone(p) && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	}
	m.still = true
	if err := m.signalAll(syscall.SIGSTOP); err != nil {
		return errors.Join(fmt.Errorf("cannot stop the machine's processes: %w", err), m.proceed())
	}
	return nil
}

// proceed lets them go on.
func (m *machine) proceed() error {
	if !m.still {
		return nil
	}
	err := m.signalAll(syscall.SIGCONT)
	m.signalEntered(syscall.SIGCONT)
	m.still = false
	<-m.turn
	return err
}

func (m *machine) signalAll(s syscall.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	_, err := m.inside.gate.ask(ctx, order{Signal: s})
	return err
}

func (m *machine) signalEntered(s syscall.Signal) (list []*os.Process) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p := range m.entered {
		if p.Signal(s) == nil { // else it has ended
			list = append(list, p)
		}
	}
	return list
}

func stoppedOrGone(p *os.Process) bool {
	_, state := statOf(p.Pid)
	return state == "" || state == "T"
}

// frozenUntil is closed when nobody holds the machine still any more, whatever became of them; nil where nobody does.
func frozenUntil(folder string) <-chan struct{} {
	f, err := os.OpenFile(freezeFile(folder), os.O_RDWR, 0)
	if err != nil {
		return nil // nobody ever did
	}
	if free, err := tryLock(f); free || err != nil {
		_ = f.Close()
		return nil
	}
	thawed := make(chan struct{})
	go func() { // ends with the holder, or with this process
		defer close(thawed)
		defer f.Close()
		for errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX), unix.EINTR) {
		}
	}()
	return thawed
}
