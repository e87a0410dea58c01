// SPDX-License-Identifier: Apache-2.0

// Fleet serves many machines that do not exist: an SSH server on a loopback address for each, which answers the collector as a machine would, from what the collector said of
// this computer. It ends with its standard input.
//
// Machine i is of one of 40 variants, i%40, and has a name, machine ID, boot ID and uptime of its own; one in a hundred has a package more, which no other has. It prints
// its host authority, then each machine's address and port, then an empty line.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
)

func main() {
	count := flag.Int("n", 100, "how many machines")
	authorized := flag.String("authorized", "", "the public key that may log in, in authorized_keys form")
	flag.Parse()
	if err := serve(context.Background(), *count, *authorized); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, count int, authorized string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	f, err := record(ctx)
	if err != nil {
		return fmt.Errorf("cannot record this computer: %w", err)
	}
	ca, err := ssh.NewHostCA()
	if err != nil {
		return err
	}
	private, public, err := ssh.GenerateKey("")
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(out, ca.PublicKey())
	port := "0"
	for i := range count {
		address := fmt.Sprintf("127.77.%d.%d", i/250, 1+i%250) // Linux answers to all of 127.0.0.0/8
		certificate, err := ca.Sign(public, []string{address}, 0)
		if err != nil {
			return err
		}
		server, err := sshtest.Serve(ctx, sshtest.Config{
			Address: net.JoinHostPort(address, port),
			HostKeys: func() ([]sshtest.HostKey, error) {
				return []sshtest.HostKey{{Private: private, Certificate: certificate}}, nil
			},
			Authorized: func(string) []string { return []string{authorized} },
			Exec:       func(_ context.Context, s *sshtest.Session) int { return f.answer(i, s) },
		})
		if err != nil {
			return err
		}
		defer func() { _ = server.Close() }() // it ends with ctx too
		_, port, _ = net.SplitHostPort(server.Addr())
		fmt.Fprintln(out, address, port)
	}
	fmt.Fprintln(out)
	if err := out.Flush(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	stop()
	return err
}
