// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"context"
	"io"
	"strings"

	"github.com/docker/docker/api/types/container"

	"github.com/evenkeel/evenkeel/providers"
)

// Console reads what the daemon keeps of the container's terminal: 2 MB at most.
func (p *provider) Console(ctx context.Context, id string, max int64) ([]byte, error) {
	_, _, err := p.byID(ctx, id)
	var text []byte
	if err == nil {
		text, err = p.console(ctx, id, max)
	}
	return text, p.wrapMachine(ctx, "read console of", id, err)
}

// console: with a terminal the log is what was printed, without the daemon's headers.
func (p *provider) console(ctx context.Context, id string, max int64) ([]byte, error) {
	if max <= 0 {
		return nil, nil
	}
	log, err := p.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // read only
	var kept []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := log.Read(buf)
		kept = append(kept, buf[:n]...)
		if over := int64(len(kept)) - max; over > 0 {
			kept = append(kept[:0], kept[over:]...)
		}
		if err == io.EOF {
			return kept, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// lastWords is the end of the console, for an error.
func (p *provider) lastWords(ctx context.Context, id string) string {
	text, err := p.console(ctx, id, 500)
	if err != nil {
		return "its console cannot be read: " + err.Error()
	}
	if said := strings.TrimSpace(providers.Printable(string(text))); said != "" {
		return said
	}
	return "it said nothing"
}
