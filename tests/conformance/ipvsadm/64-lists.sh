# Recorded from ipvsadm 1.31 on Linux 6.1.
# Every form of the list.
ipvsadm -A -t 10.9.0.1:80 -s wrr -p 360 -M 255.255.255.0
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.11 -g -w 65536
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.12 -m -x 2000000000 -y 1000000000
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.13 -i -w 2147483647
ipvsadm -A -u 10.9.0.1:53 -o -s mh -b mh-fallback
ipvsadm -a -u 10.9.0.1:53 -r 10.0.0.13 -i --tun-type gre --tun-csum
ipvsadm -a -u 10.9.0.1:53 -r 10.0.0.14 -i --tun-type gue --tun-port 65535 --tun-remcsum
ipvsadm -a -u 10.9.0.1:53 -r 10.0.0.2 -i --tun-type gue --tun-port 80
ipvsadm -A --sctp-service 10.9.0.1:80 -s sed
ipvsadm -a --sctp-service 10.9.0.1:80 -r 10.0.0.15 -m
ipvsadm -A -t [fd00:1111:2222:3333:4444:5555:6666:7777]:8080 -s lblcr
ipvsadm -a -t [fd00:1111:2222:3333:4444:5555:6666:7777]:8080 -r [fd00:1111:2222:3333:4444:5555:6666:8888]:65000 -m
ipvsadm -a -t [fd00:1111:2222:3333:4444:5555:6666:7777]:8080 -r [fd00:1::12:1]:1 -m
ipvsadm -A -f 4294967295 -s ovf
ipvsadm -a -f 4294967295 -r 10.0.0.16 -g
ipvsadm -A -f 5 -6 -s fo -p
ipvsadm -a -f 5 -6 -r fd00::9 -m
ipvsadm -Ln
ipvsadm -L
ipvsadm -Ln --stats
ipvsadm -Ln --rate
ipvsadm -Ln --stats --exact
ipvsadm -Ln --thresholds
ipvsadm -Ln --persistent-conn
ipvsadm -Ln --tun-info
ipvsadm -L --tun-info
ipvsadm -Ln --exact
ipvsadm -Ln --sort
ipvsadm -Ln --stats --rate
ipvsadm -Ln --rate --stats
ipvsadm -Ln --stats --thresholds
ipvsadm -Ln --thresholds --persistent-conn
ipvsadm -Ln --persistent-conn --thresholds
ipvsadm -Ln --tun-info --stats
ipvsadm -Ln --tun-info --thresholds
ipvsadm -Ln --tun-info --persistent-conn
ipvsadm -Ln --rate --persistent-conn
ipvsadm -Ln --stats -u 10.9.0.1:53
ipvsadm -Ln --tun-info -u 10.9.0.1:53
ipvsadm -Ln --thresholds -f 5 -6
ipvsadm -Ln --persistent-conn -f 5
ipvsadm -L --rate -f 4294967295
ipvsadm -Ln --sctp-service 10.9.0.1:80
ipvsadm -Ln -t [fd00:1111:2222:3333:4444:5555:6666:7777]:8080 --stats
ipvsadm -Lc
ipvsadm -Lcn
ipvsadm -Lc --persistent-conn
ipvsadm -Lnc --sort
ipvsadm -Lc --nosort
ipvsadm -Lc --exact
ipvsadm -Lc --tun-info
ipvsadm -Lc --timeout
ipvsadm -Lc --daemon
ipvsadm -Lc --rate
ipvsadm -Lc --thresholds
ipvsadm -Lc -f 5
ipvsadm -L --timeout --persistent-conn
ipvsadm -L --timeout --exact
ipvsadm -L --timeout -n
ipvsadm -L --timeout --nosort
ipvsadm -L --timeout --tun-info
ipvsadm -L --daemon -n
ipvsadm -L --daemon --rate
ipvsadm -L --daemon --persistent-conn
ipvsadm -L --syncid 5 --daemon
ipvsadm -Sn
ipvsadm -S
ipvsadm -S -n -n
ipvsadm -S --exact
