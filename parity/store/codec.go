// SPDX-License-Identifier: Apache-2.0

package store

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/evenkeel/evenkeel/parity"
)

// codec packs JSON: a byte that says how, and the rest. It is safe for concurrent use, and has nothing to close: nothing streams through it.
type codec struct {
	writer func() (*zstd.Encoder, error)
	reader func() (*zstd.Decoder, error)
}

const (
	plain      = 'j' // JSON
	compressed = 'z' // JSON in a frame of zstd
	// packMin is where compressing begins to be worth it: the facts that each machine has for itself are shorter.
	packMin = 256
	// unpackMax bounds what a file that was tampered with can come to. The largest section that is collected is 16 MiB.
	unpackMax = 1 << 30
)

func newCodec() *codec {
	return &codec{
		writer: sync.OnceValues(func() (*zstd.Encoder, error) {
			return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(true))
		}),
		reader: sync.OnceValues(func() (*zstd.Decoder, error) {
			return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(unpackMax), zstd.WithDecoderLowmem(true))
		}),
	}
}

// encode packs v.
func (c *codec) encode(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return c.pack(text)
}

func (c *codec) pack(text []byte) ([]byte, error) {
	if len(text) < packMin {
		return append([]byte{plain}, text...), nil
	}
	w, err := c.writer()
	if err != nil {
		return nil, err
	}
	return w.EncodeAll(text, []byte{compressed}), nil
}

func (c *codec) unpack(body []byte) ([]byte, error) {
	switch {
	case len(body) > 0 && body[0] == plain:
		return body[1:], nil
	case len(body) > 0 && body[0] == compressed:
		r, err := c.reader()
		if err != nil {
			return nil, err
		}
		text, err := r.DecodeAll(body[1:], nil)
		if err != nil {
			return nil, damagedf("what is packed does not unpack: %v", err)
		}
		return text, nil
	}
	return nil, damagedf("a text is packed in no known way")
}

// decode unpacks into v.
func (c *codec) decode(body []byte, v any) error {
	text, err := c.unpack(body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return damagedf("a text is not the JSON that was written: %v", err)
	}
	return nil
}

type hash = [sha256.Size]byte

// encodeSection packs a section; its hash is what it is known by.
func (c *codec) encodeSection(s *parity.Section) (hash, []byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return hash{}, nil, fmt.Errorf("the section %s is no JSON: %w", s.Name, err)
	}
	body, err := c.pack(text)
	return sha256.Sum256(text), body, err
}

// decodeSection unpacks one, and makes sure that it is what was written.
func (c *codec) decodeSection(sum, body []byte) (s parity.Section, size int, err error) {
	text, err := c.unpack(body)
	if err != nil {
		return s, 0, err
	}
	if got := sha256.Sum256(text); string(got[:]) != string(sum) {
		return s, 0, damagedf("a section is not what was written")
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, 0, damagedf("a section is not the JSON that was written: %v", err)
	}
	s.Items = slices.Clip(slices.Clone(s.Items)) // reading left up to as much room again
	return s, len(text), nil
}

// lines is words as a column holds them; words is the way back.
func lines(words []string) string { return strings.Join(words, "\n") }

func words(lines string) []string {
	if lines == "" {
		return []string{}
	}
	return strings.Split(lines, "\n")
}
