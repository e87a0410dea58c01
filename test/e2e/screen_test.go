// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"strconv"
	"strings"
)

// screen is as much of a terminal as live lines need: carriage return, new line, cursor up, erase to the end of line and of screen. Result lines may
// wrap; wrapped says that one which was erased or rewritten did.
type screen struct {
	columns int
	lines   [][]rune
	row     int
	column  int
	wrapped bool
}

func newScreen(columns int) *screen { return &screen{columns: columns, lines: [][]rune{nil}} }

func (s *screen) write(text string) {
	r := []rune(text)
	for i := 0; i < len(r); i++ {
		switch r[i] {
		case '\r':
			s.column = 0
		case '\n':
			s.row++
			for s.row >= len(s.lines) {
				s.lines = append(s.lines, nil)
			}
		case 0x1b:
			end := i + 2
			for end < len(r) && (r[end] >= '0' && r[end] <= '9' || r[end] == ';') {
				end++
			}
			if end < len(r) {
				s.control(r[end], string(r[i+2:end]))
			}
			i = end
		default:
			line := s.lines[s.row]
			for len(line) <= s.column {
				line = append(line, ' ')
			}
			line[s.column] = r[i]
			s.lines[s.row] = line
			s.column++
		}
	}
}

func (s *screen) control(what rune, number string) {
	n, err := strconv.Atoi(number)
	if err != nil {
		n = 1
	}
	switch what {
	case 'A':
		for _, line := range s.lines[max(s.row-n, 0):s.row] {
			s.wrapped = s.wrapped || len(line) > s.columns
		}
		s.row = max(s.row-n, 0)
	case 'K':
		if len(s.lines[s.row]) > s.column {
			s.lines[s.row] = s.lines[s.row][:s.column]
		}
	case 'J':
		s.lines = s.lines[:s.row+1]
		s.control('K', "")
	}
}

func (s *screen) text() []string {
	var list []string
	for _, l := range s.lines {
		list = append(list, strings.TrimRight(string(l), " "))
	}
	return list
}
