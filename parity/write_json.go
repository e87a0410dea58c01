// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// writeJSON writes the report whole. Characters that do not print are written as escapes of JSON, so that the file is harmless on a
// terminal and still means the same.
func writeJSON(w io.Writer, r *Report, _ WriteOptions) error {
	said := struct {
		*Report
		Source string `json:"source"`
	}{r, selfReported}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	if err := enc.Encode(said); err != nil {
		return err
	}
	_, err := w.Write(inertJSON(b.Bytes()))
	return err
}

// inertJSON escapes what does not print. In valid JSON such characters stand only within strings.
func inertJSON(data []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(data))
	for i, size := 0, 0; i < len(data); i += size {
		var r rune
		r, size = utf8.DecodeRune(data[i:])
		switch {
		case r == '\n' || r < 0x7f || strconv.IsPrint(r) && !invisible(r):
			b.Write(data[i : i+size])
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}
