# Recorded from ipvsadm 1.31 on Linux 6.1.
# Options of tunnels.
ipvsadm -A -t 10.9.0.1:80 -s rr
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.11 -i --tun-type ipip
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.12 -i --tun-type gre
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.13 -i --tun-type gre --tun-csum
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.14 -i --tun-type gre --tun-nocsum
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.15 -i --tun-type gre --tun-remcsum
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.16 -i --tun-type gre --tun-port 5
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.17 -i --tun-type gre --tun-csum --tun-nocsum
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.18 -i --tun-type gue --tun-port 6080
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.19 -i --tun-type gue --tun-port 6080 --tun-csum
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.20 -i --tun-type gue --tun-port 6080 --tun-nocsum
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.21 -i --tun-type gue --tun-port 6080 --tun-remcsum
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.22 -i --tun-type gue --tun-port 6080 --tun-remcsum --tun-csum
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.23 -i --tun-type gue --tun-csum
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.24 -i --tun-type gue --tun-port 0
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.25 -i --tun-type gue --tun-port 65535
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.26 -i --tun-type gue --tun-port 65536
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.27 -i --tun-type gue --tun-port domain
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.28 -i --tun-port 6080
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.29 -i --tun-csum
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.30 -i --tun-type ipip --tun-nocsum
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.31 -i --tun-type ipip --tun-remcsum
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.32 -i --tun-type GUE --tun-port 5
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.33 -i --tun-type gu --tun-port 5
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.34 -i --tun-type gue --tun-type gre
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.35 -m --tun-csum
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.36 --tun-type ipip
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.37 --tun-type gre -i
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.38:8080 -i
ipvsadm -d -t 10.9.0.1:80 -r 10.0.0.11 --tun-type ipip
ipvsadm -e -t 10.9.0.1:80 -r 10.0.0.11 -i --tun-type gre --tun-csum -w 2
ipvsadm -e -t 10.9.0.1:80 -r 10.0.0.12 -g
ipvsadm -e -t 10.9.0.1:80 -r 10.0.0.13 -i
ipvsadm -Ln --tun-info
ipvsadm -Sn
ipvsadm -Ln
