# Recorded from ipvsadm 1.31 on Linux 6.1.
# Saving and restoring.
printf -- '-A -t 10.9.0.1:80 -s rr\n-a -t 10.9.0.1:80 -r 10.0.0.11:80 -g -w 1\n' | ipvsadm -R
ipvsadm -Sn
ipvsadm -Sn > saved.rules; ipvsadm -C; ipvsadm -R < saved.rules; ipvsadm -Sn
ipvsadm -R < saved.rules
ipvsadm -C; printf 'ipvsadm -A -t 10.9.0.1:81 -s rr\n' | ipvsadm -R; ipvsadm -Sn
printf '/sbin/ipvsadm -A -t 10.9.0.1:82 -s rr\n' | ipvsadm -R; ipvsadm -Sn
printf 'A -t 10.9.0.1:82 -s rr\n' | ipvsadm -R; ipvsadm -Sn
printf '\n\n  \n\t\n-A -t 10.9.0.1:83 -s rr\n' | ipvsadm -R; ipvsadm -Sn
printf '  -A\t-t   10.9.0.1:84  -s rr  \n' | ipvsadm -R; ipvsadm -Sn
printf -- '-A -t 10.9.0.1:85 -s rr' | ipvsadm -R; ipvsadm -Sn
printf -- '-A -t 10.9.0.1:86 -s rr\r\n-A -t 10.9.0.1:87 -s rr\n' | ipvsadm -R; ipvsadm -Sn
printf -- '-A -t 10.9.0.1:88 -s rr\n# a comment\n-A -t 10.9.0.1:89 -s rr\n' | ipvsadm -R; ipvsadm -Sn
printf -- '-A -t 10.9.0.1:90 -s rr\n-A -t 10.9.0.1:90 -s rr\n-A -t 10.9.0.1:91 -s rr\n' | ipvsadm -R; ipvsadm -Sn
printf -- '-A -t 10.9.0.1:92 -s nosuch\n-A -t 10.9.0.1:93 -s rr\n' | ipvsadm -R; ipvsadm -Sn
printf -- '-A -t 10.9.0.1:94 -w 3\n-A -t 10.9.0.1:95 -s rr\n' | ipvsadm -R; ipvsadm -Sn
printf -- '-A -t 10.9.0.1:96 -s rr extra\n-A -t 10.9.0.1:97 -s rr\n' | ipvsadm -R; ipvsadm -Sn
printf -- '-A -t 10.9.0.1:98 --nosuch\n-A -t 10.9.0.1:99 -s rr\n' | ipvsadm -R; ipvsadm -Sn
printf -- 'nonsense\n-A -t 10.9.0.1:99 -s rr\n' | ipvsadm -R; ipvsadm -Sn
printf -- '-A -t "10.9.0.1:99" -s rr\n' | ipvsadm -R
printf -- '-A -t 10.9.0.1:100 -s rr # comment\n' | ipvsadm -R
printf -- '-Ln\n' | ipvsadm -R
printf -- '-C\n-A -t 10.9.0.1:101 -s rr\n-Ln\n-Sn\n' | ipvsadm -R
printf -- '-R\n' | ipvsadm -R
printf -- '-L -t 10.9.0.9:9\n-A -t 10.9.0.1:102 -s rr\n' | ipvsadm -R; ipvsadm -Sn
printf -- '-D -t 10.9.0.9:9\n-A -t 10.9.0.1:103 -s rr\n' | ipvsadm -R; ipvsadm -Sn
printf -- '--set 1 2 3\n-L --timeout\n--set 900 120 300\n' | ipvsadm -R
printf -- '-h\n-A -t 10.9.0.1:104 -s rr\n' | ipvsadm -R | head -1; ipvsadm -Sn
printf -- '-Z\n-E -t 10.9.0.1:101 -s wrr\n-a -t 10.9.0.1:101 -r 10.0.0.1\n-e -t 10.9.0.1:101 -r 10.0.0.1 -w 5\n-d -t 10.9.0.1:101 -r 10.0.0.1\n-D -t 10.9.0.1:101\n' | ipvsadm -R; ipvsadm -Sn
printf -- 'ipvsadm ipvsadm -A -t 10.9.0.1:105 -s rr\n' | ipvsadm -R; ipvsadm -Sn
printf -- 'ipvsadm\n' | ipvsadm -R
printf -- 'ipvsadmx -A -t 10.9.0.1:106 -s rr\n' | ipvsadm -R; ipvsadm -Sn
printf -- '-A -t 10.9.0.1:107 -s \\\nrr\n' | ipvsadm -R; ipvsadm -Sn
printf '' | ipvsadm -R
ipvsadm -R < /dev/null
ipvsadm -C; { for i in $(seq 1 300); do printf ' '; done; echo '-A -t 10.9.0.1:108 -s rr'; } | ipvsadm -R; ipvsadm -Sn
ipvsadm -C; { printf -- '-A -t 10.9.0.1:109 -s'; for i in $(seq 1 300); do printf ' '; done; echo 'rr'; } | ipvsadm -R; ipvsadm -Sn
ipvsadm -C; { printf -- '-A -t 10.9.0.1:110 -s '; printf 'r%.0s' $(seq 1 300); echo; } | ipvsadm -R; ipvsadm -Sn
ipvsadm -C; ipvsadm -A -t 10.9.0.1:80 -s sh -b flag-3; ipvsadm -Sn | ipvsadm -R
ipvsadm -C; printf -- '-A -t localhost:http\n-a -t localhost:http -r 10.0.0.1:https -m\n' | ipvsadm -R; ipvsadm -S
ipvsadm-save
ipvsadm-save -n
ipvsadm-save -n > saved.rules; ipvsadm -A -t 10.9.0.1:111; ipvsadm-restore < saved.rules; ipvsadm-save -n
printf -- '# comment\n-A -t 10.9.0.1:112 -s rr\n #another\n-A -t 10.9.0.1:113 -s rr\n' | ipvsadm-restore; ipvsadm-save -n
printf '' | ipvsadm-restore; ipvsadm-save -n
ipvsadm-save -x
ipvsadm-save x
ipvsadm-save -h
ipvsadm-restore -h < /dev/null
