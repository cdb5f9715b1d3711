; Blocks of 2 x 2, short ones among them: scales made and divided by. Then blocks that are whole
; columns, and pieces of rows.
; design: fp8-16x16
.data 0x0 fp32 =1 =-2 =3 =4 =-5 =6 =7 =-8 =9 =10 =-11 =12
.more =13 =-14 =15
.data 0x40 fp32 =0.25
.expect 0x80 fp32 =7 =9 =10 =12 =14 =15
.expect 0xa0 e8m0 =1 =2 =2 =2 =2 =2
.expect 0xb0 e4m3fn =1 =-2 =1.5 =2 =-2.5 =6 =7 =-4 =4.5 =5 =-5.5 =6
.more =6.5 =-7 =7.5
.expect 0xc0 fp32 =13 =7 =20
.expect 0xd0 fp32 =1 =4 =-5 =7 =9 =10 =12 =13 =15
format f0, fp32
format f1, e8m0
format f2, e4m3fn
tensor t0, f0, dram, 0, 3, 5
tensor t1, f0, dram, 0x40, 1, 1
tensor t2, f0, dram, 0x80, 2, 3
tensor t3, f1, dram, 0xa0, 2, 3
tensor t4, f2, dram, 0xb0, 3, 5
blocks 2, 2
ramax t2, t0
vector rtz, saturate, max
vmul t3, t2, t1
vector rne, ieee, nan
vdiv t4, t0, t3
blocks 0, 2
tensor t5, f0, dram, 0xc0, 1, 3
rsum t5, t0
blocks 1, 2
tensor t6, f0, dram, 0xd0, 3, 3
rmax t6, t0
