// SPDX-License-Identifier: Apache-2.0

package figure

import (
	"strings"
	"unicode/utf8"
)

// Table is a Markdown table, its cells padded so that it reads well as plain text too.
func Table(head []string, rows [][]string) string {
	widths := make([]int, len(head))
	all := append([][]string{head}, rows...)
	for _, row := range all {
		for i := range head {
			widths[i] = max(widths[i], 3, utf8.RuneCountInString(cell(row, i)))
		}
	}
	var b strings.Builder
	line := func(row []string) {
		for i, width := range widths {
			text := cell(row, i)
			b.WriteString("| " + text + strings.Repeat(" ", width-utf8.RuneCountInString(text)+1))
		}
		b.WriteString("|\n")
	}
	line(head)
	for _, width := range widths {
		b.WriteString("|" + strings.Repeat("-", width+2))
	}
	b.WriteString("|\n")
	for _, row := range rows {
		line(row)
	}
	return b.String()
}

// cell is a row's text in a column, empty where the row is shorter.
func cell(row []string, i int) string {
	if i >= len(row) {
		return ""
	}
	return strings.ReplaceAll(row[i], "|", `\|`)
}
