; What a commit log shows: a product, a masked one twice, a fence, an overflow.
.region layer
.data 0x0 e4m3fn =1 =2 =3 =4 =5 =6
.data 0x40 e4m3fn =1 =2 =3 =4 =5 =6
.data 0x80 int8 =1 =0 =0 =1
format f0, e4m3fn
format f1, fp32
format f2, int8
tensor t0, f0, dram, 0x0, 2, 3
tensor t1, f0, dram, 0x40, 3, 2
tensor t2, f1, dram, 0x100, 2, 2
tensor t3, f2, dram, 0x80, 2, 2
tensor t4, f0, dram, 0x140, 2, 2
tensor t5, f1, dram, 0x180, 3, 3
tensor t6, f0, dram, 0x0, 3, 1
tensor t7, f0, dram, 0x40, 1, 3
mark layer
gemm t2, t0, t1
fence
loop 2, 2
  advance t2, 16
  gemmm t2, t0, t1, t3
advance t2, -32
vmul t4, t2, t2
gemm t5, t6, t7
halt
