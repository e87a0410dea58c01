// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// LogRecord is one record of a machine's journal. It is untrusted text: print it through Printable.
type LogRecord struct {
	Machine  string
	Time     time.Time // by the machine's clock
	Unit     string    // nginx.service, or ""
	Name     string    // of what wrote it: the syslog identifier, else the command
	PID      string
	Priority int // 0 emergency to 7 debug; 6 where it has none
	Message  string
	Fields   map[string]json.RawMessage // as journalctl printed it
}

// maxLogLine bounds a record. journalctl itself leaves out fields of more than 4 KiB (journalctl(1), --all).
const maxLogLine = 256 << 10

// logLines splits what journalctl prints into records. A line that is too long or no record becomes a record that says so.
type logLines struct {
	machine string
	send    func(LogRecord) error
	line    []byte
	long    bool
	cursor  string // of the last record handed on
}

func (l *logLines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		part, whole := p, end >= 0
		if whole {
			part = p[:end]
		}
		p = p[min(len(part)+1, len(p)):]
		if l.long = l.long || len(l.line)+len(part) > maxLogLine; !l.long {
			l.line = append(l.line, part...)
		}
		if whole {
			if err := l.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// close takes a last line without its end.
func (l *logLines) close() error {
	if len(l.line) == 0 && !l.long {
		return nil
	}
	return l.flush()
}

func (l *logLines) flush() error {
	r, err := ParseLogRecord(l.line)
	switch {
	case l.long:
		r = LogRecord{Time: time.Now(), Name: "evenkeel", Priority: 4, Message: fmt.Sprintf("a record of more than %d KiB was left out", maxLogLine>>10)}
	case len(bytes.TrimSpace(l.line)) == 0:
		return nil
	case err != nil:
		r = LogRecord{Time: time.Now(), Name: "evenkeel", Priority: 4, Message: "a line of the journal was left out: " + err.Error()}
	}
	l.line, l.long = l.line[:0], false
	r.Machine = l.machine
	if err := l.send(r); err != nil {
		return err
	}
	if at := fieldText(r.Fields["__CURSOR"]); at != "" {
		l.cursor = at
	}
	return nil
}

// ParseLogRecord reads one line of `journalctl --output=json` (systemd.journal-fields(7)). Values are strings, arrays of bytes where they are no text, arrays of
// strings where a field stands several times, or null where they are too long.
func ParseLogRecord(line []byte) (LogRecord, error) {
	r := LogRecord{Priority: 6}
	if err := json.Unmarshal(line, &r.Fields); err != nil {
		return LogRecord{}, errors.New("it is no JSON object")
	}
	us, err := strconv.ParseInt(fieldText(r.Fields["__REALTIME_TIMESTAMP"]), 10, 64)
	if err != nil || us < 0 {
		return LogRecord{}, errors.New("it has no time")
	}
	r.Time = time.UnixMicro(us)
	r.Unit = fieldText(r.Fields["_SYSTEMD_UNIT"])
	if r.Name = fieldText(r.Fields["SYSLOG_IDENTIFIER"]); r.Name == "" {
		r.Name = fieldText(r.Fields["_COMM"])
	}
	r.PID = fieldText(r.Fields["_PID"])
	r.Message = fieldText(r.Fields["MESSAGE"])
	if raw, ok := r.Fields["MESSAGE"]; ok && string(raw) == "null" {
		r.Message = "(a message of more than 4 KiB)"
	}
	if p, err := strconv.Atoi(fieldText(r.Fields["PRIORITY"])); err == nil && p >= 0 && p <= 7 {
		r.Priority = p
	}
	return r, nil
}

// fieldText is a field's value as text, its first where it has several.
func fieldText(raw json.RawMessage) string {
	var several []json.RawMessage
	if json.Unmarshal(raw, &several) == nil && len(several) > 0 && (several[0][0] == '"' || several[0][0] == '[') {
		raw = several[0]
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var numbers []byteNumber
	if json.Unmarshal(raw, &numbers) != nil {
		return ""
	}
	b := make([]byte, len(numbers))
	for i, n := range numbers {
		b[i] = byte(n)
	}
	return string(b)
}

// byteNumber is a byte in an array: encoding/json would take []byte for base64.
type byteNumber uint8
