// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/providers"
)

// roleWord as first argument makes a program that calls Main one of a world's processes.
const roleWord = "evenkeel-fake-process"

const (
	roleNetwork = "network" // holds an environment's user and network namespaces
	roleMachine = "machine" // a machine's SSH server and forwards, in the host's network
	roleInit    = "init"    // process 1 of a machine
	roleOutside = "outside" // dials from the environment's network, as the world outside a machine
)

// Main must be the first call of every program that opens Plugin, test binaries included (in TestMain). Machines are this same program started anew;
// there it does not return. Elsewhere it makes descriptors that the program inherited close on exec, so that no machine holds a lock of its
// starter's parent, and returns.
func Main() {
	if len(os.Args) < 3 || os.Args[1] != roleWord {
		_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
		return
	}
	if err := play(os.Args[2], os.Args[3:]); err != nil {
		complain(err)
		os.Exit(1)
	}
	os.Exit(0)
}

func play(role string, args []string) error {
	switch {
	case role == roleNetwork && len(args) == 2:
		return runNetwork(world(args[0]), args[1])
	case role == roleMachine && len(args) == 2:
		return runMachine(world(args[0]), args[1])
	case role == roleInit:
		return runInit()
	case role == roleOutside:
		return serveGate(nil, nil)
	}
	return fmt.Errorf("role %q with %d arguments is none of ours", role, len(args))
}

// complain is the last line that answer reads.
func complain(err error) {
	b, _ := json.Marshal(failureOf(err))
	fmt.Printf("%s\n", b)
}

// failureOf is err as it is told to another process.
func failureOf(err error) *failure {
	if e, ok := errors.AsType[*providers.Error](err); ok {
		return &failure{Code: e.Code, Message: fmt.Sprint(e.Err)}
	}
	return &failure{Code: providers.Internal, Message: err.Error()}
}

// ready tells the starter that all is well, and from then on what this process prints goes to log. Where the starter is dead it is an error: the
// process must end, since whoever comes next may start another.
func ready(log *os.File) error {
	if _, err := fmt.Println("ready"); err != nil {
		return err
	}
	for _, fd := range []int{1, 2} {
		if err := unix.Dup3(int(log.Fd()), fd, 0); err != nil {
			return err
		}
	}
	return nil
}

// untilTold receives the signals that end a process and those that make it look at its record.
func untilTold() (end, look <-chan os.Signal) {
	e, l := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(e, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(l, syscall.SIGHUP)
	signal.Ignore(syscall.SIGPIPE)
	return e, l
}
