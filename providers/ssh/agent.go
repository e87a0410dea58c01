// SPDX-License-Identifier: Apache-2.0

package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// agentListWait bounds the agent's answer to "which keys": nobody confirms that.
const agentListWait = 2 * time.Second

// agentKeys are the keys the agent at socket holds; none where it does not answer.
func agentKeys(socket string) []key {
	if socket == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), agentListWait)
	defer cancel()
	var listed []*agent.Key
	err := withAgent(ctx, socket, func(a agent.ExtendedAgent) (err error) {
		listed, err = a.List()
		return err
	})
	if err != nil {
		return nil
	}
	var keys []key
	for _, l := range listed {
		public, err := ssh.ParsePublicKey(l.Blob)
		if err != nil {
			continue // a kind we do not know
		}
		keys = append(keys, key{public, func(ctx context.Context) ssh.Signer { return &agentSigner{ctx, socket, public} }})
	}
	return keys
}

// withAgent connects for one question; ctx's end closes the connection, so that an agent waiting for its owner's nod can be left.
func withAgent(ctx context.Context, socket string, ask func(agent.ExtendedAgent) error) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("cannot reach the SSH agent: %w", err)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	return ask(agent.NewClient(conn))
}

// agentSigner signs through the agent within the ctx of one login.
type agentSigner struct {
	ctx    context.Context
	socket string
	public ssh.PublicKey
}

func (s *agentSigner) PublicKey() ssh.PublicKey { return s.public }

func (s *agentSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, "")
}

func (s *agentSigner) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	var flags agent.SignatureFlags
	switch algorithm {
	case ssh.KeyAlgoRSASHA256, ssh.CertAlgoRSASHA256v01:
		flags = agent.SignatureFlagRsaSha256
	case ssh.KeyAlgoRSASHA512, ssh.CertAlgoRSASHA512v01:
		flags = agent.SignatureFlagRsaSha512
	}
	var signature *ssh.Signature
	err := withAgent(s.ctx, s.socket, func(a agent.ExtendedAgent) (err error) {
		signature, err = a.SignWithFlags(s.public, data, flags)
		return err
	})
	if err != nil {
		return nil, errors.Join(s.ctx.Err(), err)
	}
	return signature, nil
}
