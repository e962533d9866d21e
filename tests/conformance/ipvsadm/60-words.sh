# Recorded from ipvsadm 1.31 on Linux 6.1.
# Forms of words: bundles, equals signs, long options, abbreviations, order.
ipvsadm --add-service --tcp-service 10.9.0.1:80 --scheduler rr
ipvsadm --add-server --tcp-service=10.9.0.1:80 --real-server=10.0.0.11:8080 --masquerading --weight=3
ipvsadm -at10.9.0.1:80 -r10.0.0.12 -g -w5
ipvsadm -at=10.9.0.1:80 -r=10.0.0.13 -iw=7
ipvsadm -Lnt 10.9.0.1:80
ipvsadm -nL
ipvsadm -L -n -n
ipvsadm -ln
ipvsadm --list -n
ipvsadm --lis -n
ipvsadm --list --num
ipvsadm --list=x
ipvsadm --numeric=1 -L
ipvsadm -L --numeric=1
ipvsadm -L --tcp-service
ipvsadm -L -t
ipvsadm -A -t
ipvsadm -A -t 10.9.0.1:81 -s
ipvsadm -A -t 10.9.0.1:81 --scheduler
ipvsadm -A -t 10.9.0.1:81 --sched rr
ipvsadm -A -t 10.9.0.1:82 -s rr extra
ipvsadm -A -t 10.9.0.1:82 extra -s rr
ipvsadm -L extra
ipvsadm -L -- -n
ipvsadm -L -n -- extra
ipvsadm -- -L
ipvsadm -L -
ipvsadm -
ipvsadm -L -X
ipvsadm -L -nX
ipvsadm -LX
ipvsadm -L --nosuch
ipvsadm -L --nosuch=5
ipvsadm -t 10.9.0.1:80 -L
ipvsadm -n
ipvsadm --stats
ipvsadm -L -L
ipvsadm -L -A
ipvsadm -A -t 10.9.0.1:80 -E
ipvsadm -Z -L
ipvsadm -L --list
ipvsadm --add-service -t 10.9.0.1:83 --ipv6
ipvsadm -A -t 10.9.0.1:84 -p
ipvsadm -A -t 10.9.0.1:85 -p -s rr
ipvsadm -A -p -t 10.9.0.1:86
ipvsadm -A -p 50 -t 10.9.0.1:87
ipvsadm -A -t 10.9.0.1:88 -p=60
ipvsadm -A -t 10.9.0.1:89 --persistent=70
ipvsadm -A -t 10.9.0.1:90 --persistent 80
ipvsadm -A -t 10.9.0.1:91 --persistent -s wrr
ipvsadm -A -t 10.9.0.1:92 -p90 -s wrr
ipvsadm -A -t 10.9.0.1:93 -ps wrr
ipvsadm -E -t 10.9.0.1:80 -s sh --sched-flags=sh-port
ipvsadm -Sn
ipvsadm --save --numeric
ipvsadm --set
ipvsadm --set 1
ipvsadm --set 1 2 3 4
ipvsadm --set=1 2 3
ipvsadm --set 1 2 3 -n
ipvsadm --set 1 2 -n 3
ipvsadm -n --set 1 2 3
ipvsadm -L --timeout
ipvsadm --set -1 2 3
ipvsadm --set 2678400 1 1
ipvsadm --set 2678401 1 1
ipvsadm --set 0x10 1 1
ipvsadm -L --timeout
ipvsadm --start-daemon
ipvsadm --stop-daemon
ipvsadm --stop-daemon nosuch
ipvsadm --start-daemon mast
ipvsadm -h -n | head -1
ipvsadm -hn | head -1
ipvsadm --help | head -1
ipvsadm --version
ipvsadm -v
ipvsadm -A -v
ipvsadm -V
