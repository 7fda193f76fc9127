#!/bin/sh
# A source in shell: a file to which another program appends one JSON document a line. The cursor is the number of lines
# that were read. Settings:
#   command = ["sh", "lines.sh", "/srv/calls/records.jsonl"]
file=$1

while IFS= read -r question; do
    case $question in
    *'"ask":"describe"'*)
        echo '{"protocol":1,"about":"a file of JSON lines"}'
        ;;
    *'"ask":"check"'*)
        if [ -r "$file" ]; then
            echo '{"steps":[{"name":"reach","ok":"the file can be read"}]}'
        else
            echo '{"steps":[{"name":"reach","fault":{"class":"configuration","message":"the file cannot be read","remedy":"create it, or name another one in command"}}]}'
        fi
        ;;
    *'"ask":"pull"'*)
        if [ ! -r "$file" ]; then
            echo '{"fault":{"class":"configuration","message":"the file cannot be read","remedy":"create it, or name another one in command"}}'
            continue
        fi
        cursor=$(printf '%s\n' "$question" | sed -n 's/.*"cursor":\([0-9][0-9]*\).*/\1/p')
        items=$(printf '%s\n' "$question" | sed -n 's/.*"items":\([0-9][0-9]*\).*/\1/p')
        from=${cursor:-0}
        # wc counts line breaks: a line that is still being written is left for the next time.
        whole=$(wc -l <"$file")
        # A file that was set back to an older one holds less than was read: it is read anew, and what is known is a repeat.
        [ "$from" -le "$whole" ] || from=0
        to=$((from + items))
        more=true
        if [ "$to" -ge "$whole" ]; then
            to=$whole
            more=false
        fi
        if [ "$to" -gt "$from" ]; then
            sed -n "$((from + 1)),${to}s/.*/{\"item\":{\"document\":&}}/p" "$file"
        else
            to=$from
        fi
        printf '{"cursor":%d,"more":%s}\n' "$to" "$more"
        ;;
    *)
        echo '{}'
        ;;
    esac
done
