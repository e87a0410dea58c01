// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"
)

// sideName is what both certificates are made out to; who holds which is settled by the certificates themselves.
const sideName = "evenkeel-plugin"

// credentialsLife is how long a certificate is good for. It is shown once, when the client connects to the process it has just started.
const credentialsLife = time.Hour

// maxCredentials bounds the line on which they travel; it takes some 1.1 KiB.
const maxCredentials = 8 << 10

// credentialsTime is how long a plugin waits for them. They lie in the pipe before it is started.
const credentialsTime = 2 * time.Second

// credentials are what one side of one connection shows, and whom it expects. The client makes both sides' and hands the plugin its own as the first
// line on stdin: nobody else can read there, as they could in arguments or the environment.
type credentials struct {
	Certificate []byte `json:"certificate"` // X.509, DER
	Key         []byte `json:"key"`         // PKCS #8, DER
	Peer        []byte `json:"peer"`        // the other side's certificate, the only one that is believed
}

// newCredentials makes the two sides of one connection.
func newCredentials() (client, server credentials, err error) {
	if client, err = newSide(); err != nil {
		return client, server, err
	}
	if server, err = newSide(); err != nil {
		return client, server, err
	}
	client.Peer, server.Peer = server.Certificate, client.Certificate
	return client, server, nil
}

func newSide() (credentials, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return credentials{}, fmt.Errorf("cannot make a key for a plugin: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{sideName},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(credentialsLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return credentials{}, fmt.Errorf("cannot make a certificate for a plugin: %w", err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return credentials{}, fmt.Errorf("cannot make a key for a plugin: %w", err)
	}
	return credentials{Certificate: cert, Key: key}, nil
}

// config is mutual TLS for either side.
func (c credentials) config() (*tls.Config, error) {
	key, err := x509.ParsePKCS8PrivateKey(c.Key)
	if err != nil {
		return nil, fmt.Errorf("cannot read the credentials: %w", err)
	}
	peer, err := x509.ParseCertificate(c.Peer)
	if err != nil {
		return nil, fmt.Errorf("cannot read the credentials: %w", err)
	}
	only := x509.NewCertPool()
	only.AddCert(peer)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{c.Certificate}, PrivateKey: key}},
		RootCAs:      only, ClientCAs: only, ClientAuth: tls.RequireAndVerifyClientCert,
		ServerName: sideName, MinVersion: tls.VersionTLS13,
	}, nil
}

// line is how they travel: JSON, ended by a newline.
func (c credentials) line() ([]byte, error) {
	b, err := json.Marshal(c)
	return append(b, '\n'), err
}

var errNoCredentials = errors.New("no credentials on standard input")

// readCredentials reads the first line of r, and what came with it; the client writes nothing after it. An error ends the use of r.
func readCredentials(r io.Reader, within time.Duration) (credentials, error) {
	type answer struct {
		credentials
		err error
	}
	read := make(chan answer, 1)
	go func() { // where nothing comes it ends with the process
		var a answer
		line, err := bufio.NewReader(io.LimitReader(r, maxCredentials)).ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, &a.credentials)
		}
		if err != nil {
			a.err = fmt.Errorf("%w: %w", errNoCredentials, err)
		}
		read <- a
	}()
	select {
	case a := <-read:
		return a.credentials, a.err
	case <-time.After(within):
		return credentials{}, fmt.Errorf("%w within %v", errNoCredentials, within)
	}
}
